// expects: a probe lists a site that this model does not have
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using variant = opt_350m;  // post-LN: there is no LayerNorm after the last layer
#else
using variant = opt_125m;
#endif
void run(model<variant>& opt, capture<site::ln_final>& probe) { opt.run({{2}}, probe); }

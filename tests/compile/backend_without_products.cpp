// expects: constraint
#include <optscope/opt/model.hpp>

using namespace optscope;
#ifdef MUST_FAIL
struct backend {};
#else
struct backend : cpu {
  using cpu::cpu;
};
#endif
void run(model<opt_125m, float, backend>& opt) { opt.run({{2}}); }

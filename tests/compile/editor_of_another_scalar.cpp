// expects: this probe lists a site in .sites. but has no call operator
#include <optscope/opt/model.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using value = double;  // the model computes in float
#else
using value = float;
#endif
struct editor_type {
  using sites = site_list<site::mlp_post>;
  void operator()(site::mlp_post, const place&, tensor_view<value, 2>) {}
};
void run(model<opt_125m>& opt, editor_type& editor) { opt.run({{2}}, editor); }

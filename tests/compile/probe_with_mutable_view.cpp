// expects: this probe lists a site in .sites. but has no call operator
#include <optscope/opt/model.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using value = float;  // an observer sees constant activations
#else
using value = const float;
#endif
struct probe_type {
  using sites = site_list<site::mlp_post>;
  void operator()(site::mlp_post, const place&, tensor_view<value, 2>) {}
};
void run(model<opt_125m>& opt, probe_type& probe) { opt.run({{2}}, probe); }

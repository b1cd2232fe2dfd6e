// expects: this probe lists a site in .sites. but has no call operator
#include <optscope/opt/model.hpp>

using namespace optscope;
struct probe_type {
#ifdef MUST_FAIL
  using sites = site_list<site::mlp_post, site::mlp_out>;  // the second has no operator
#else
  using sites = site_list<site::mlp_post>;
#endif
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2>) {}
};
void run(model<opt_125m>& opt, probe_type& probe) { opt.run({{2}}, probe); }

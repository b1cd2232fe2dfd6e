// expects: (no matching member function for call to 'run'|no matching function for call to .*run)
#include <optscope/opt/model.hpp>

using namespace optscope;
struct probe_type {
#ifndef MUST_FAIL
  using sites = site_list<site::mlp_post>;
#endif
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2>) {}
};
void run(model<opt_125m>& opt, probe_type& probe) { opt.run({{2}}, probe); }

// expects: a probe lists the sites that it wants to be shown, such as
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>

using namespace optscope;
struct probe_type {
#ifndef MUST_FAIL
  using sites = site_list<site::mlp_post>;
#endif
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2>) {}
};
void run(model<opt_125m>& opt, probe_type& probe) {
  opt.run({{2}}, probe);
  kv_cache<float> cache;
  opt.run({{2}}, cache, probe);
  static_cast<void>(generate(opt, {{2}}, {}, probe));
}

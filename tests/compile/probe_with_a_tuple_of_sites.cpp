// expects: the .sites. of this probe is not a site_list<...>
#include <optscope/core/probe.hpp>
#include <tuple>

using namespace optscope;
struct probe_type {
#ifdef MUST_FAIL
  using sites = std::tuple<site::mlp_post>;
#else
  using sites = site_list<site::mlp_post>;
#endif
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2>) {}
};
static_assert(probe_for<probe_type, float>);

// expects: a probe lists a site that this model's decoder block does not offer
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>

using namespace optscope;
struct block {
#ifdef MUST_FAIL
  using sites = site_list<>;
#else
  using sites = site_list<site::mlp_out>;
#endif
  template <class Run>
  int prepare(const Run&) const {
    return 0;
  }
  template <class Layer>
  void operator()(Layer&, int&) const {}
};
void run(model<opt_125m, float, cpu, mapped_weights<float>, block>& opt, capture<site::mlp_out>& probe) {
  opt.run({{2}}, probe);
}

// expects: the Block of a model must satisfy block_for
#include <optscope/opt/model.hpp>

using namespace optscope;
struct block {
  using sites = site_list<>;
#ifndef MUST_FAIL
  template <class Run>
  int prepare(const Run&) const {
    return 0;
  }
#endif
  template <class Layer>
  void operator()(Layer&, int&) const {}
};
void run(model<opt_125m, float, cpu, mapped_weights<float>, block>& opt) { opt.run({{2}}); }

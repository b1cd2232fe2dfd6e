// expects: a spectrum analyser has types scalar and settings
#include <optscope/spectrum/block_analysis.hpp>

using namespace optscope;
struct analyser {
  using scalar = double;
  using settings = analysis_settings;
  static constexpr const char *name = "none", *help = "no values";
  explicit analyser(settings = {}) {}
#ifndef MUST_FAIL
  void check(const operator_shape &) const {}
#endif
  std::size_t bytes(const operator_shape &) const { return 0; }
  double operations(const operator_shape &) const { return 0; }
  template <linear_operator Op>
  spectrum operator()(Op &) const {
    return spectrum{.values = {1}, .size = 1};
  }
};
const block_analysis<analyser> analyse;

// expects: a metric has a constant call operator .std::span<const T>, std::span<const T>.
#include <optscope/similarity/similarity.hpp>

struct length {
#ifdef MUST_FAIL
  double operator()(std::span<const float> x) const { return x[0]; }
#else
  double operator()(std::span<const float> x, std::span<const float> y) const { return x[0] * y[0]; }
#endif
};
float run(optscope::tensor_view<const float, 2> vectors) { return optscope::similarity<length>(vectors)(0, 0); }

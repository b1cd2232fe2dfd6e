// expects: (no matching function for call to .*similarity|constraints not satisfied)
#include <optscope/similarity/similarity.hpp>

struct length {
#ifdef MUST_FAIL
  double operator()(std::span<const float> x) const { return x[0]; }
#else
  double operator()(std::span<const float> x, std::span<const float> y) const { return x[0] * y[0]; }
#endif
};
float run(optscope::tensor_view<const float, 2> vectors) { return optscope::similarity<length>(vectors)(0, 0); }

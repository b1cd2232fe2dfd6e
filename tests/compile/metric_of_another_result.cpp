// expects: with a result that converts to double
#include <optional>
#include <optscope/similarity/similarity.hpp>

struct first_elements {
#ifdef MUST_FAIL
  using result = std::optional<double>;
#else
  using result = double;
#endif
  result operator()(std::span<const float> x, std::span<const float> y) const { return x[0] * y[0]; }
};
float run(optscope::tensor_view<const float, 2> vectors) { return optscope::similarity<first_elements>(vectors)(0, 0); }

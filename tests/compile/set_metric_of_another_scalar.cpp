// expects: a metric of sets has a constant call operator for two sets, tensor_view<const T, 2>
#include <optscope/similarity/similarity.hpp>
#include <vector>

using namespace optscope;
#ifdef MUST_FAIL
using value = float;  // the sets are of doubles
#else
using value = double;
#endif
struct rows {
  double operator()(tensor_view<const value, 2> x, tensor_view<const value, 2> y) const {
    return static_cast<double>(x.rows() * y.rows());
  }
};
double run(const std::vector<tensor<double, 2>>& sets) { return similarity<rows>(sets)(0, 0); }

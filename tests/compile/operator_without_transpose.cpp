// expects: a linear operator has a type scalar
#include <optscope/spectrum/exact.hpp>

using namespace optscope;
struct zeros {
  using scalar = double;
  std::size_t rows() const { return 3; }
  std::size_t cols() const { return 3; }
  void apply(tensor_view<const double, 2>, tensor_view<double, 2>) {}
#ifndef MUST_FAIL
  void apply_transposed(tensor_view<const double, 2>, tensor_view<double, 2>) {}
#endif
};
spectrum run(zeros& op) { return exact{}(op); }

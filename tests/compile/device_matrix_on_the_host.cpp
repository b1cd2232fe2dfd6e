// expects: the host cannot read this matrix, which is in a device's memory
#include <optscope/core/matrix.hpp>
#include <vector>

using namespace optscope;
struct memory_of_a_device {
  static constexpr bool host = false;
  template <class T>
  using buffer = std::vector<T>;
};
void copy(matrix_view<float, memory_of_a_device> theirs, matrix_view<float> own, float* to) {
#ifdef MUST_FAIL
  theirs.slice(2, 1).copy_to(to);
#else
  if (theirs.rows() == own.rows()) own.slice(2, 1).copy_to(to);
#endif
}

// expects: the host cannot read or write this view, which is of a device's memory
#include <optscope/core/tensor.hpp>
#include <vector>

using namespace optscope;
struct device_memory {
  static constexpr bool host = false;
  template <class T>
  using buffer = std::vector<T>;
};
float largest(tensor_view<const float, 2, device_memory> rows, tensor_view<const float, 2> here) {
  const auto first = rows.slice(0, 1).columns(3, 2);  // cut, but not read
#ifdef MUST_FAIL
  return first(0, 1) + here(0, 1);
#else
  return static_cast<float>(first.cols()) + here(0, 1);
#endif
}

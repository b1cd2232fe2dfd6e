// expects: adapt\(\) of a temporary tensor would refer to memory that is gone: give the tensor a name first
#include <optscope/interop/xtensor.hpp>

using namespace optscope;
#ifdef MUST_FAIL
auto sums() { return adapt(tensor<float, 2>{{2, 3}}); }
#else
auto sums(const tensor<float, 2>& values) { return adapt(values); }
#endif

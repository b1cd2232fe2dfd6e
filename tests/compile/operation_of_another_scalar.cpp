// expects: this operation takes no vectors of this site in the scalar of the model: std::span<T>
#include <optscope/probe/editor.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using scalar = double;  // the model computes in float
#else
using scalar = float;
#endif
void run(tensor_view<float, 3> z) {
  auto halve = edit<site::z>([](std::span<scalar> x, const vector_place&) { x[0] /= 2; });
  halve(site::z{}, place{}, z);
}

// expects: the operation of an editor takes .std::span<T>, const vector_place&., T being the scalar of the model
#include <optscope/probe/editor.hpp>

using namespace optscope;
#ifdef MUST_FAIL
auto halve = edit<site::z>([](std::span<float> z) { z[0] /= 2; });
#else
auto halve = edit<site::z>([](std::span<float> z, const vector_place&) { z[0] /= 2; });
#endif

// expects: and returns nothing or a bool
#include <optscope/probe/editor.hpp>
#include <string>

using namespace optscope;
#ifdef MUST_FAIL
using result = std::string;
#else
using result = bool;
#endif
auto nothing = edit<site::z>([](std::span<float>, const vector_place&) { return result{}; });

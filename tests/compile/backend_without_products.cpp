// expects: the Backend of a model must satisfy backend_for<Backend, Scalar>
#include <optscope/opt/model.hpp>

using namespace optscope;
#ifdef MUST_FAIL
struct backend {};
#else
struct backend : cpu {
  using cpu::cpu;
  backend with_threads(std::size_t threads) const { return backend{threads}; }
};
#endif
void run(model<opt_125m, float, backend>& opt) { opt.run({{2}}); }

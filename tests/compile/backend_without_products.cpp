// expects: constraint
#include <optscope/opt/model.hpp>

using namespace optscope;
#ifdef MUST_FAIL
struct backend {};
#else
struct backend : blas {
  using blas::blas;
};
#endif
void run(model<opt_125m, float, backend>& opt) { opt.run({{2}}); }

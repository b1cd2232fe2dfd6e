// expects: there are no gradients at this site: gradient_sites lists the others
#include <optscope/probe/capture.hpp>
#include <optscope/units/gradient_sites.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using probe_type = capture<site::resid_pre, site::ln1_scale>;
#else
using probe_type = capture<site::resid_pre, site::ln1>;
#endif
constexpr bool fits = (detail::check_gradient_probe<probe_type, float>(), true);

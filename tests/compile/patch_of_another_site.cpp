// expects: patch and resample have a capture of the same site
#include <optscope/probe/capture.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/replace.hpp>

using namespace optscope;
#ifdef MUST_FAIL
using recorded_site = site::v;
#else
using recorded_site = site::z;
#endif
auto head(const capture<recorded_site>& recorded) { return edit<site::z>(patch{recorded}); }

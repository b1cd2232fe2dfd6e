// expects: this capture was not declared with that site
#include <optscope/probe/capture.hpp>

using namespace optscope;
std::size_t run(const capture<site::attn_out>& probe) {
#ifdef MUST_FAIL
  return probe(site::mlp_out{}, 0).rows();
#else
  return probe(site::attn_out{}, 0).rows();
#endif
}

// expects: a running statistic has start.width., add.vector of the model.s scalar, text, position.
#include <optscope/opt/model.hpp>
#include <optscope/probe/running.hpp>

using namespace optscope;
struct sum {
  std::vector<double> of{};
  void start(std::size_t width) { of.assign(width, 0); }
  void add(std::span<const float> x, std::size_t, std::size_t) { of[0] += static_cast<double>(x[0]); }
#ifndef MUST_FAIL
  void merge(const sum& other) { of[0] += other.of[0]; }
#endif
  void reset() { start(of.size()); }
};
void run(model<opt_125m>& opt, running<sum, site::mlp_post>& probe) { opt.run({{2}}, probe); }

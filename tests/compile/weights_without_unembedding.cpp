// expects: the Weights of a model must satisfy weight_policy
#include <optscope/opt/model.hpp>

using namespace optscope;
struct weights {
  weights(const checkpoint&, const architecture&, thread_pool&) {}
  layer_weights<float> layer(std::size_t, std::size_t, thread_pool&) { return {}; }
  void token_embedding(std::span<const token_id>, tensor_view<float, 2>) {}
  void position_embedding(std::size_t, tensor_view<float, 2>) {}
  outer_weights<float> outer() { return {}; }
#ifndef MUST_FAIL
  matrix_view<float> unembedding() { return {}; }
#endif
};
void run(model<opt_125m, float, cpu, weights>& opt) { opt.run({{2}}); }

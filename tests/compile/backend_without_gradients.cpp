// expects: gradients need a backend that satisfies gradient_backend_for<Backend, Scalar>
#include <optscope/opt/model.hpp>
#include <optscope/units/gradient_pass.hpp>

using namespace optscope;
class backend : public host_backend {  // all of backend_for, by way of cpu
  using in = tensor_view<const float, 2>;
  using out = tensor_view<float, 2>;

 public:
  void linear(in x, matrix_view<float> w, const float* bias, out y) { cpu_.linear(x, w, bias, y); }
  void layer_norm(in x, const float* gamma, const float* beta, out y) { cpu_.layer_norm(x, gamma, beta, y); }
  void activate(activation kind, out x) { cpu_.activate(kind, x); }
  void add(in x, out y) { cpu_.add(x, y); }
  void attention(std::span<const attention_text<float>> texts, std::size_t heads) { cpu_.attention(texts, heads); }
  void attention_scores(in q, in k, tensor_view<float, 3> scores) { cpu_.attention_scores(q, k, scores); }
  void attention_softmax(tensor_view<float, 3> scores) { cpu_.attention_softmax(scores); }
  void attention_mix(tensor_view<const float, 3> pattern, in v, out z) { cpu_.attention_mix(pattern, v, z); }
  bool row_invariant() const { return true; }
  thread_pool& pool() const { return cpu_.pool(); }
  backend with_threads(std::size_t) const { return *this; }
#ifndef MUST_FAIL
  void linear_backward(in x, matrix_view<float> w, out y) { cpu_.linear_backward(x, w, y); }
#endif

 private:
  cpu cpu_;
};
static_assert(backend_for<backend, float>);
using pass = gradient_pass<model<opt_125m, float, backend>>;
pass of(model<opt_125m, float, backend>& opt) { return pass{opt}; }

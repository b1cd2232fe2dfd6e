// SPDX-License-Identifier: MIT
#include <optscope/opt/model.hpp>

struct largest_neuron {
  using sites = optscope::site_list<optscope::site::mlp_post>;
  float value = 0;
  [[gnu::noinline]] void operator()(optscope::site::mlp_post, const optscope::place&,
                                    optscope::tensor_view<const float, 2> neurons) {
    for (std::size_t i = 0; i < neurons.rows(); ++i) {
      for (const float neuron : neurons.row(i)) value = neuron > value ? neuron : value;
    }
  }
};

void run(optscope::model<optscope::opt_125m>& opt, const optscope::token_batch& texts, largest_neuron& probe) {
  opt.run(texts, probe);
}

// SPDX-License-Identifier: MIT
// A custom observer that prints the share of neurons that each text switches on: custom_observer MODEL_DIR TEXT_FILE...
#include <iostream>
#include <optscope/optscope.hpp>

using namespace optscope;

struct active_neurons {
  using sites = site_list<site::mlp_post>;

  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> neurons) {  // (position, ffn)
    std::size_t active = 0;
    for (std::size_t position = 0; position < neurons.rows(); ++position) {
      for (const float value : neurons.row(position)) active += value > 0;
    }
    std::cout << "text " << at.text << " layer " << at.layer << ": "
              << 100.0 * static_cast<double>(active) / static_cast<double>(neurons.size()) << " % active\n";
  }
};

int main(int argc, char** argv) try {
  if (argc < 3) throw error{"usage: custom_observer MODEL_DIR TEXT_FILE..."};
  model<> opt{checkpoint{argv[1]}};
  active_neurons probe;
  opt.run(trim(tokenizer{argv[1]}.encode_files({argv + 2, argv + argc}), 512), probe);
} catch (const std::exception& e) {
  std::cerr << "custom_observer: " << e.what() << '\n';
  return 1;
}

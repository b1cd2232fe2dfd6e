// SPDX-License-Identifier: MIT
// A custom editor that steers from one text towards another: custom_editor MODEL_DIR FROM TOWARDS PROMPT
#include <iostream>
#include <optscope/optscope.hpp>

using namespace optscope;

struct steer {  // adds a direction to the stream after the middle layer, at every position
  using sites = site_list<site::resid_post>;
  std::size_t layer;
  std::vector<float> direction;

  [[nodiscard]] bool wants(site::resid_post, std::size_t which) const { return which == layer; }
  void operator()(site::resid_post, const place&, tensor_view<float, 2> stream) {  // (position, hidden), not const
    for (std::size_t position = 0; position < stream.rows(); ++position) {
      for (std::size_t i = 0; i < stream.cols(); ++i) stream(position, i) += direction[i];
    }
  }
};

int main(int argc, char** argv) try {
  if (argc != 5) throw error{"usage: custom_editor MODEL_DIR FROM TOWARDS PROMPT"};
  model<> opt{checkpoint{argv[1]}};
  const tokenizer words{argv[1]};
  capture<site::resid_post> ends{positions::last()};
  opt.run({words.encode(argv[2]), words.encode(argv[3])}, ends);
  steer editor{.layer = opt.layers() / 2, .direction = {}};
  const auto stream = ends(site::resid_post{}, editor.layer);  // (text, hidden)
  for (std::size_t i = 0; i < stream.cols(); ++i) editor.direction.push_back(stream(1, i) - stream(0, i));
  const generation what{.new_tokens = 24, .tokens = words.size()};
  std::cout << words.decode(generate(opt, {words.encode(argv[4])}, what, editor)[0]) << '\n';
} catch (const std::exception& e) {
  std::cerr << "custom_editor: " << e.what() << '\n';
  return 1;
}

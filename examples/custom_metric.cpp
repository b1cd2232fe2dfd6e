// SPDX-License-Identifier: MIT
// The shortest program with a custom metric: custom_metric MODEL_DIR TEXT_FILE...
#include <iostream>
#include <numeric>
#include <optscope/optscope.hpp>
#include <xtensor/xio.hpp>

using namespace optscope;

struct dot_product {  // any type with this call operator is a metric
  double operator()(std::span<const float> x, std::span<const float> y) const {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  }
};

int main(int argc, char** argv) try {
  if (argc < 3) throw error{"usage: custom_metric MODEL_DIR TEXT_FILE..."};
  model<> opt{checkpoint{argv[1]}};  // model<opt_125m> where no other will do
  const token_batch texts = trim(tokenizer{argv[1]}.encode_files({argv + 2, argv + argc}), 512);

  capture<site::attn_out> probe{positions::last()};
  opt.run(texts, probe);
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    const xt::xtensor<float, 2> matrix = similarity<dot_product>(probe(site::attn_out{}, layer));  // (text, text)
    std::cout << "layer " << layer << '\n' << matrix << '\n';
  }
} catch (const std::exception& e) {
  std::cerr << "custom_metric: " << e.what() << '\n';
  return 1;
}

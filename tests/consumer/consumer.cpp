// SPDX-License-Identifier: MIT
// Uses the installed package: runs a model and takes the result as an xtensor container.
#include <iostream>
#include <optscope/optscope.hpp>

int main(int, char** argv) {
  using namespace optscope;
  model<> opt{checkpoint{argv[1]}};
  capture<site::resid_post> probe{positions::last()};
  opt.run({{2, 5, 7}, {2, 9}}, probe);
  const xt::xtensor<float, 2> last = probe(site::resid_post{}, opt.layers() - 1);
  std::cout << last.shape(0) << " x " << last.shape(1) << ", similarity "
            << similarity<cosine>(probe(site::resid_post{}, 0))(0, 1) << '\n';
  return last.shape(0) == 2 && last.shape(1) == opt.shape().hidden ? 0 : 1;
}

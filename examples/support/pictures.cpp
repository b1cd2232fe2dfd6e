// SPDX-License-Identifier: MIT
#include "pictures.hpp"

#include <iostream>
#include <optscope/core/errors.hpp>
#include <optscope/plot/gnuplot.hpp>

namespace program {

void pictures::draw(const std::function<void()>& drawing) {
  try {
    drawing();
  } catch (const optscope::plot::gnuplot_missing& e) {
    missing_ = e.what();
  }
}

void pictures::finish(const std::filesystem::path& report, const std::string& rest) const {
  if (!missing_.empty()) {
    throw optscope::error{missing_ + "\n  everything else has been written: " + report.string() +
                          (rest.empty() ? "" : ", " + rest)};
  }
  std::cout << report.string() << '\n';
}

}  // namespace program

// SPDX-License-Identifier: MIT
#pragma once
// Pictures where gnuplot is installed, and everything else where it is not.

#include <filesystem>
#include <functional>
#include <string>

namespace program {

/// Draws, and where gnuplot is missing lets a program write everything else before it fails.
///
///     program::pictures pictures;
///     pictures.draw([&] { optscope::plot::draw(...); });
///     write_report(...);
///     pictures.finish(app.out / "report.html", "data/, summary.json");
class pictures {
 public:
  /// Calls `drawing()`, which draws some pictures. That gnuplot is missing is kept for `finish`.
  void draw(const std::function<void()>& drawing);

  /// Prints where the report is. Throws `optscope::error` if gnuplot was missing; the message names the report and
  /// `rest`, what else has been written.
  void finish(const std::filesystem::path& report, const std::string& rest = "") const;

 private:
  std::string missing_;
};

}  // namespace program

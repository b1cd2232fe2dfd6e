// SPDX-License-Identifier: MIT
#pragma once
// Runs gnuplot as a child process: one description of a picture, one file for each format.

#include <cstddef>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::plot {

/// gnuplot is not installed. A program that catches it can still write everything that is not a picture.
struct gnuplot_missing : error {
  using error::error;
};

/// gnuplot ran and failed; `what()` carries what it wrote to its standard error.
struct gnuplot_error : error {
  using error::error;
};

enum class format { png, svg, pdf };

/// `png`, `svg`, `pdf`: also the file's extension.
[[nodiscard]] constexpr std::string_view name_of(format type) noexcept {
  return type == format::png ? "png" : type == format::svg ? "svg" : "pdf";
}

struct drawing;

/// Where pictures go. `stem` = `pictures/streams` gives `pictures/streams.png` and so on.
struct picture_files {
  std::filesystem::path stem{};
  std::vector<format> formats{format::png, format::svg, format::pdf};
  std::string program = "gnuplot";        ///< looked up in PATH unless it holds a slash
  std::vector<drawing>* batch = nullptr;  ///< takes the picture, for `draw` of many at once; null: it is drawn now
};

/// What gnuplot draws: commands without `set terminal` and `set output`, which may read `data` by the gnuplot string
/// variable `data` (a file of float32), and the size in points (1/72 inch).
struct picture {
  std::string commands{};
  std::vector<float> data{};
  double width = 720, height = 540;
};

/// A picture and where it goes.
struct drawing {
  picture what;
  picture_files files;
};

/// Draws pictures in every format of their files with one process of gnuplot, whose start costs as much as a small
/// picture. The files of all appear together, when all are whole. Throws as `draw` of one does; the message is of the
/// first that fails.
void draw(const std::vector<drawing>& together);

/// Draws one picture in every format of `files`, or adds it to `files.batch`; the files appear together, when all are
/// whole.
///
///     picture square{"plot data binary array=(2,2) format='%float' with image", {0, 1, 1, 0}};
///     draw(square, {"pictures/square"});
///
/// Throws `gnuplot_missing`, `gnuplot_error`, and what `output_file` throws. Safe to call from several threads.
void draw(const picture& what, const picture_files& files);

/// Deals pictures out to so many batches, whose pictures take about the same time together.
[[nodiscard]] std::vector<std::vector<drawing>> deal(std::vector<drawing> all, std::size_t batches);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/gnuplot.ipp>
#endif

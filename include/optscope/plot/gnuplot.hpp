// SPDX-License-Identifier: MIT
#pragma once
// Pictures as gnuplot draws them: one description, one file per format.

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

/// gnuplot ran and failed. `what()` names the picture and ends with the last line of gnuplot's messages.
struct gnuplot_error : error {
  using error::error;
};

enum class image_format { png, svg, pdf };

/// `png`, `svg`, `pdf`: also the file's extension.
[[nodiscard]] constexpr std::string_view name_of(image_format format) noexcept {
  return format == image_format::png ? "png" : format == image_format::svg ? "svg" : "pdf";
}

/// Where a picture goes. `stem` = `pictures/streams` gives `pictures/streams.png` and so on.
struct picture_files {
  std::filesystem::path stem{};
  std::vector<image_format> formats{image_format::png, image_format::svg, image_format::pdf};
};

/// What gnuplot draws. The commands contain no `set terminal` and no `set output`; they may plot `data`, a gnuplot
/// string variable that names a file with the numbers of `picture::data` as float32.
struct picture {
  std::string commands{};
  std::vector<float> data{};
  double width = 720, height = 540;  ///< points (1/72 inch)
};

/// A picture and where it goes.
struct drawing {
  picture what{};
  picture_files files{};
};

/// Draws one picture in every format of `files`, with the `gnuplot` of PATH. All files appear together, once all are
/// whole.
///
///     const picture square{.commands = "plot data binary array=(2,2) format='%float' with image",
///                          .data = {0, 1, 1, 0}};
///     draw(square, {.stem = "pictures/square"});
///
/// Throws `gnuplot_missing`, `gnuplot_error`, and what `output_file` throws. Safe to call from several threads.
void draw(const picture& what, const picture_files& files);

/// Draws many pictures with one gnuplot process, whose start takes as long as a small picture. The files of all
/// pictures appear together, once all are whole. Throws as above; a `gnuplot_error` names the first picture that
/// failed.
void draw(const std::vector<drawing>& pictures);

/// Splits pictures into `count` batches that take about the same time to draw, one for each call of `draw`. Batches are
/// empty where there are fewer pictures than batches.
[[nodiscard]] std::vector<std::vector<drawing>> split_into_batches(std::vector<drawing> pictures, std::size_t count);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/gnuplot.ipp>
#endif

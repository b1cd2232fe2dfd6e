// SPDX-License-Identifier: MIT
#pragma once
// A report: one self-contained HTML page of sections, and the pictures that belong to it as files.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/lines.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {
class json_writer;
class thread_pool;
}  // namespace optscope

namespace optscope::plot {

/// Collects sections and pictures, then writes `report.html` and `pictures/` into a folder.
///
///     report page{"Singular spectra", "demo-model"};
///     page.facts("Model", {{"layers", "12"}, {"hidden size", "768"}});
///     page.chart("Spectra", "One line per layer.", panels, {.x_label = "index", .y_label = "singular value"});
///     page.picture("Layer 3", "Cosines of all pairs of tokens.", "layer-3", heatmap(matrix));
///     page.notes("How to read this page", {"..."});
///     page.write("results");
///
/// Sections appear in the order of the calls; one without a heading continues the one before. All strings are shown
/// as they are, never as markup. The page loads nothing: its scripts, styles, pictures and arrays are inside, and a
/// Content-Security-Policy forbids the rest.
class report {
 public:
  using fact = std::pair<std::string, std::string>;                          // name, value
  using counter = std::function<void(std::size_t done, std::size_t total)>;  // of batches of pictures

  explicit report(std::string title, std::string subtitle = {});

  /// Names with their values, side by side.
  void facts(std::string_view heading, const std::vector<fact>& rows);

  /// A table. Columns whose cells are all numbers are aligned to the right.
  void table(std::string_view heading, const std::vector<std::string>& columns,
             const std::vector<std::vector<std::string>>& rows);

  /// Paragraphs.
  void notes(std::string_view heading, const std::vector<std::string>& paragraphs);

  /// What `lines` draws, one chart per panel, with values that are read by mouse and keyboard. A series narrower than
  /// 1 point is drawn thin; all others are equally wide.
  void chart(std::string_view heading, std::string_view note, std::span<const line_panel> panels,
             const lines_options& options);

  /// A picture in the page that is also written as `pictures/NAME.png`, `.svg` and `.pdf`.
  void picture(std::string_view heading, std::string_view note, std::string name, plot::picture what);

  /// A picture that is only written as `pictures/NAME.*`.
  void picture_file(std::string name, plot::picture what);

  /// A section of another kind, for which the page's script has a view. `begin` returns its open JSON object, `end`
  /// closes and adds it.
  [[nodiscard]] json_writer begin(std::string_view kind, std::string_view heading) const;
  void end(json_writer& json);

  /// Puts numbers into the page as float32, and returns the JSON by which the script finds them.
  [[nodiscard]] std::string float32(std::span<const float> values);
  /// The same in half the space: three significant digits, whatever the size of the values.
  [[nodiscard]] std::string float16(std::span<const float> values);

  /// The pictures, in the order of the calls.
  [[nodiscard]] const std::vector<std::pair<std::string, plot::picture>>& pictures() const noexcept {
    return pictures_;
  }

  /// The page without its pictures.
  [[nodiscard]] std::string html() const { return html({}); }

  /// Writes `folder/report.html` and `folder/pictures/`, which is made if there are pictures. `folder` exists. Files
  /// appear under their names once they are whole. Pictures are drawn on all threads of `pool`, one gnuplot process per
  /// batch; `progress` is called on the calling thread.
  ///
  /// If gnuplot is missing or fails, the page is written without the pictures, and then `gnuplot_missing` or
  /// `gnuplot_error` is thrown; its message says where the page is. Throws what `output_file` throws; if that is for a
  /// picture, the page is written first.
  void write(const std::filesystem::path& folder, thread_pool& pool, const counter& progress = {}) const;
  /// The same on one thread.
  void write(const std::filesystem::path& folder) const;

 private:
  struct section {
    std::string json;     // without its closing bracket where a picture follows
    std::string picture;  // shown in it; empty: none
  };

  [[nodiscard]] std::string store(std::string text, const char* type, float scale);
  [[nodiscard]] std::string html(const std::filesystem::path& pictures) const;  // empty: none is drawn

  std::string title_, subtitle_;
  std::vector<section> sections_;
  std::vector<std::string> arrays_;
  std::vector<std::pair<std::string, plot::picture>> pictures_;  // name, what
};

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/report.ipp>
#endif

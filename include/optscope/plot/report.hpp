// SPDX-License-Identifier: MIT
#pragma once
// One self-contained HTML page: sections of text, tables and charts with their data inside, and nothing from outside.

#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/lines.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {
class json_writer;
}

namespace optscope::plot {

/// Collects sections and writes the page.
///
///     report page{"Singular spectra", "demo-model"};
///     page.facts("Model", {{"layers", "12"}, {"hidden", "768"}});
///     page.chart("Spectra", "One line per layer.", panels, {.x_label = "index", .y_label = "singular value"});
///     page.notes("How to read it", {"..."});
///     page.write("report.html");
///
/// Whatever the strings hold is shown as text. The page loads nothing: its scripts, styles and arrays are inside, and a
/// Content-Security-Policy forbids the rest.
class report {
 public:
  using fact = std::pair<std::string, std::string>;  // name, value

  explicit report(std::string title, std::string subtitle = {});

  /// Names with their values, side by side.
  void facts(std::string_view heading, const std::vector<fact>& rows);

  /// A table. Columns whose cells are all numbers are aligned to the right.
  void table(std::string_view heading, const std::vector<std::string>& columns,
             const std::vector<std::vector<std::string>>& rows);

  /// Paragraphs.
  void notes(std::string_view heading, const std::vector<std::string>& paragraphs);

  /// Line charts that are read by mouse and keyboard, one per panel: what `lines` draws as a picture. Series narrower
  /// than 1 are drawn thin, all others alike.
  void chart(std::string_view heading, std::string_view note, std::span<const line_panel> panels,
             const lines_options& options);

  /// A picture that was drawn as PNG. Throws `file_error` if it is not there.
  void picture(std::string_view heading, std::string_view note, const std::filesystem::path& png);

  /// A section of another kind, for which the page's script has a view. `begin` returns its open JSON object.
  [[nodiscard]] json_writer begin(std::string_view kind, std::string_view heading) const;
  void end(json_writer& json);

  /// Puts numbers into the page as float32 and returns the JSON by which the script finds them.
  [[nodiscard]] std::string float32(std::span<const float> values);
  /// The same in half the space, with three significant digits; values of any size.
  [[nodiscard]] std::string float16(std::span<const float> values);

  /// The whole page.
  [[nodiscard]] std::string html() const;

  /// Appears under its name when it is whole. Throws what `output_file` throws.
  void write(const std::filesystem::path& path) const;

 private:
  [[nodiscard]] std::string store(std::string text, const char* type, float scale);

  std::string title_, subtitle_;
  std::vector<std::string> sections_, arrays_;
};

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/report.ipp>
#endif

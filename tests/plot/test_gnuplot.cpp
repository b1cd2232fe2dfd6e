// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/intervals.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/ranked.hpp>
#include <optscope/plot/streams.hpp>

#include "made_up.hpp"

using namespace optscope;
using namespace optscope::plot;

namespace {
bool gnuplot_is_here() {
  const temporary_folder folder;
  try {
    draw({.commands = "plot data binary array=(2,2) format='%float' with image", .data = {0, 1, 1, 0}},
         {.stem = folder.path / "a", .formats = {image_format::svg}});
  } catch (const gnuplot_missing&) {
    return false;
  }
  return true;
}

// Tests that draw are skipped by name where gnuplot is missing.
#define NEEDS_GNUPLOT                                                   \
  if (!gnuplot_is_here()) {                                             \
    MESSAGE("skipped: gnuplot is not installed (Debian: gnuplot-nox)"); \
    return;                                                             \
  }

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

// All three files are whole; the PNG has a minimal size and is not blank.
void check_pictures(const std::filesystem::path& stem) {
  const std::string png = content_of(stem.string() + ".png"), svg = content_of(stem.string() + ".svg"),
                    pdf = content_of(stem.string() + ".pdf");
  REQUIRE_GT(png.size(), 5000);
  CHECK_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  CHECK_EQ(png.substr(png.size() - 8, 4), "IEND");
  CHECK_GT(big_endian(png, 16), 600);  // width, height
  CHECK_GT(big_endian(png, 20), 300);
  CHECK_NE(svg.find("<svg"), std::string::npos);
  CHECK_NE(svg.find("</svg>"), std::string::npos);
  CHECK_EQ(pdf.substr(0, 5), "%PDF-");
  CHECK_NE(pdf.find("%%EOF"), std::string::npos);
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator{folder}, std::filesystem::directory_iterator{}));
}

const std::vector<row_group> categories{
    {.name = "articles", .size = 4}, {.name = "papers", .size = 3}, {.name = "code", .size = 3}};
// What a file name may contain, and gnuplot, a shell, XML and enhanced text each interpret differently.
const std::string nasty = R"(q"q'q`touch oops`$(touch oops)\n\q</script>&amp;x_a^{b}@c~d%g#e|f)";
}  // namespace

TEST_CASE("viridis starts, passes and ends at its colours, and a shade keeps its hue between dark and light") {
  CHECK_EQ(hex(viridis(0)), "#440154");
  CHECK_EQ(hex(viridis(0.5)), "#21918c");
  CHECK_EQ(hex(viridis(1)), "#fde725");
  CHECK_EQ(hex(viridis(-3)), hex(viridis(0)));
  CHECK_EQ(shade(2, 0, 1), hue(2));
  CHECK_LT(shade(0, 0, 4).green, shade(0, 1, 4).green);
  CHECK_LT(shade(0, 1, 4).green, shade(0, 3, 4).green);
}

TEST_CASE("values on both sides of zero have diverging colours, with zero in the middle") {
  CHECK_EQ(hex(diverging(0.5)), "#f7f7f7");
  CHECK_GT(diverging(0.1).blue, diverging(0.1).red);
  CHECK_GT(diverging(0.9).red, diverging(0.9).blue);
  for (const value_range range : {value_range{-0.2, 1}, value_range{-1, 0.2}, value_range{-1, 1}}) {
    CHECK(scale_of(range).diverging);
    CHECK_EQ(scale_of(range).range, value_range{-1, 1});
    CHECK_EQ(scale_of(range, false).range, range);
  }
  for (const value_range range : {value_range{0, 1}, value_range{-3, -1}, value_range{-1e-7, 1}, value_range{-3, 0}}) {
    CHECK_FALSE(scale_of(range).diverging);
    CHECK_EQ(scale_of(range).range, range);
    CHECK(scale_of(range, true).diverging);
  }
  const float effects[4] = {-0.5f, 0, 2, 1}, shares[4] = {0, 0.1f, 0.2f, 1};
  const std::string signed_map = heatmap(tensor_view<const float, 2>{effects, {2, 2}}).commands;
  CHECK_NE(signed_map.find("set cbrange [-2:2]"), std::string::npos);
  CHECK_NE(signed_map.find("#f7f7f7"), std::string::npos);
  const std::string map = heatmap(tensor_view<const float, 2>{shares, {2, 2}}).commands;
  CHECK_NE(map.find("set cbrange [0:1]"), std::string::npos);
  CHECK_EQ(map.find("#f7f7f7"), std::string::npos);
}

TEST_CASE("a gnuplot string contains no character with a meaning to gnuplot") {
  const std::string literal = gnuplot_string(nasty + "\n\t\x7f");
  CHECK_EQ(literal.find_first_of("`$'{}^@~%#|<>&\n\t\x7f", 1), std::string::npos);
  CHECK_EQ(literal.find('"', 1), literal.size() - 1);
  CHECK_EQ(gnuplot_string("naïve ✓ a_b"), "\"naïve ✓ a_b\"");
  CHECK_EQ(gnuplot_string("a\xff\xe2\x82z\xc0\xaf\xed\xa0\x80"), gnuplot_string("a???z?????"));
}

TEST_CASE("a heat map has a label for every row and column, or for every n-th where there are too many") {
  const tensor<float, 2> few{{2, 3}}, many{{2, 300}};
  const std::string map = heatmap(few, {.row_labels = {"3.mlp", "a%b"}, .column_labels = {"x", "y", "z"}}).commands;
  CHECK_NE(map.find("(\"3.mlp\" 0," + gnuplot_tick("a%b", 1) + ")"), std::string::npos);
  CHECK_NE(map.find("(\"x\" 0,\"y\" 1,\"z\" 2)"), std::string::npos);
  const std::string wide = heatmap(many, {.column_labels = std::vector<std::string>(300, "token")}).commands;
  const std::size_t first = wide.find("(\"token\" 0,\"token\" ");
  REQUIRE_NE(first, std::string::npos);
  CHECK_GE(std::stoi(wide.substr(first + 19)), 5);  // points apart: 8 at least
}

TEST_CASE("heat maps, streams, line charts and intervals are drawn whole in all three formats") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const auto streams_of_all = made_up::streams(24);
  const auto matrices = made_up::cosines(streams_of_all, true);
  const auto drawn = [&](const picture& what, const char* name) {
    draw(what, {.stem = folder.path / name});
    check_pictures(folder.path / name);
  };
  drawn(heatmap(matrices.view(), {.title = "Similarity", .groups = categories}), "heat");
  drawn(heatmap(tensor_view<const float, 2>{matrices.data(), {10, 10}}, {.title = "One"}), "one");
  drawn(streams(streams_of_all.view(), 3, {.title = "Stream", .y_label = "value", .categories = categories}), "stream");
  const line_series falling{.name = "falling", .x = {1, 10, 100}, .y = {5, 3, 0}, .low = {4, 2, 0}, .high = {6, 4, 1}};
  const line_panel panel{.series = {falling}};
  drawn(lines({&panel, 1},
              {.title = "Spectrum", .x_label = "index", .y_label = "singular value", .log_x = true, .log_y = true}),
        "lines");
  interval_panel share{.title = "share"}, cost{.title = "cost"};
  std::vector<std::string> names;
  for (int i = 0; i < 16; ++i) {
    names.push_back("half of layer " + std::to_string(i));
    share.values.push_back(i / 16.0);
    share.low.push_back(i / 20.0);
    share.high.push_back(i / 15.0);
    cost.values.push_back(2 - i);
  }
  drawn(intervals(names, std::vector<interval_panel>{share, cost}, "Rows"), "rows");
  CHECK_EQ(files_in(folder.path), 15);
}

TEST_CASE("empty charts, single values, equal values and values that are not finite are drawn") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const float one = 0.5f, nan = std::numeric_limits<float>::quiet_NaN();
  const float equal[8] = {1, 1, 1, 1, 1, 1, 1, 1}, holes[8] = {nan, 1, 2, nan, nan, nan, nan, nan};
  const picture_files files{.stem = folder.path / "a", .formats = {image_format::png}};
  const line_panel empty{.title = "empty"};
  const std::vector<std::string> names{"a", "b"};
  const interval_panel without{.values = {nan, 0}},
      nothing{.values = {nan, nan}, .low = {nan, nan}, .high = {nan, nan}};
  for (const picture& each :
       {heatmap(tensor_view<const float, 2>{&one, {1, 1}}, {.groups = {{.name = "a", .size = 1}}}),
        heatmap(tensor_view<const float, 3>{equal, {2, 2, 2}}), heatmap(tensor_view<const float, 3>{holes, {2, 2, 2}}),
        streams(tensor_view<const float, 3>{holes, {8, 1, 1}}), streams(tensor_view<const float, 3>{&one, {1, 1, 1}}),
        lines({}, {.title = "nothing"}), lines({&empty, 1}, {.title = "nothing"}),
        intervals(names, std::vector<interval_panel>{without, nothing}, ""), intervals({}, {}, "nothing")}) {
    draw(each, files);
  }
  CHECK_EQ(files_in(folder.path), 1);
}

TEST_CASE("ranked units are sorted within each layer, and marks follow them") {
  ranked_units what{.panels = {{.title = "code", .values = tensor<float, 2>{{2, 4}}}}};
  const float nan = std::numeric_limits<float>::quiet_NaN(), values[8] = {1, -2, 3, 0, nan, 5, -1, 2};
  std::copy_n(values, 8, what.panels[0].values.data());
  what.panels[0].marked = {false, true, true, false, false, true, false, false};
  const picture drawn = ranked(what, "Neurons");
  const std::vector<float> first(drawn.data.begin(), drawn.data.begin() + 7), sorted{3, 1, 0, -2, 5, 2, -1};
  CHECK_EQ(first, sorted);
  CHECK(std::isnan(drawn.data[7]));
  std::vector<std::pair<float, int>> marks;  // column, row
  for (std::size_t i = 8; i < drawn.data.size(); i += 2)
    marks.emplace_back(drawn.data[i], static_cast<int>(drawn.data[i + 1]));
  CHECK_EQ(marks, std::vector<std::pair<float, int>>{{0, 0}, {3, 0}, {0, 1}});
  CHECK_NE(drawn.commands.find("#f7f7f7"), std::string::npos);

  ranked_units wide{.panels = {{.values = tensor<float, 2>{{1, 5000}}}}};
  for (std::size_t i = 0; i < 5000; ++i) wide.panels[0].values(0, i) = static_cast<float>(i);
  const picture thinned = ranked(wide, "");  // one row is drawn as two
  CHECK_EQ(thinned.data.size(), 2048);
  CHECK_GT(thinned.data[0], 4990);
  CHECK_LT(thinned.data[1023], 9);
  if (gnuplot_is_here()) {
    const temporary_folder folder;
    draw(drawn, {.stem = folder.path / "a", .formats = {image_format::svg}});
  }
}

TEST_CASE("one layer, one row, one column and no value at all still make a chart") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const line_panel one_layer{
      .series = {{.name = "within", .x = {3}, .y = {0.4}}, {.name = "between", .x = {3}, .y = {nan}}}};
  const picture dots = lines({&one_layer, 1}, {});
  CHECK_NE(dots.commands.find("set xrange [2:4]"), std::string::npos);
  CHECK_NE(dots.commands.find("with points"), std::string::npos);
  const line_panel hole{.series = {{.x = {0, 1, 2, 3}, .y = {1, nan, 2, 3}}}},
      line{.series = {{.x = {0, 1}, .y = {1, 2}}}};
  CHECK_NE(lines({&hole, 1}, {}).commands.find("with points"), std::string::npos);
  CHECK_EQ(lines({&line, 1}, {}).commands.find("with points"), std::string::npos);
  const line_panel nothing{.series = {{.name = "between", .x = {3}, .y = {nan}}}};
  const float values[3] = {1, 2, 3};
  const picture row = heatmap(tensor_view<const float, 2>{values, {1, 3}});
  CHECK_EQ(row.data, std::vector<float>{1, 2, 3, 1, 2, 3});
  const picture column = heatmap(tensor_view<const float, 3>{values, {1, 3, 1}});
  CHECK_EQ(column.data, std::vector<float>{1, 1, 2, 2, 3, 3});
  const picture_files files{.stem = folder.path / "a", .formats = {image_format::svg}};
  for (const picture& each : {dots, lines({&nothing, 1}, {.log_x = true}), row, column}) draw(each, files);
}

TEST_CASE("names from files are shown unchanged and run nothing") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const auto matrices = made_up::cosines(made_up::streams(8), true);
  const auto stem = folder.path / "it's `a` $(b) \"c\" é";
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path);
  draw(heatmap(matrices.view(), {.title = nasty,
                                 .value_label = nasty,
                                 .panel_titles = std::vector<std::string>(12, nasty),
                                 .groups = {{.name = nasty, .size = 5}, {.name = "日本語\nx", .size = 5}}}),
       {.stem = stem});
  const line_panel panel{.title = nasty, .series = {{.name = nasty, .x = {0, 1}, .y = {1, 2}}}};
  draw(lines({&panel, 1}, {.title = nasty, .x_label = nasty, .y_label = nasty}),
       {.stem = "|relative", .formats = {image_format::svg}});
  std::filesystem::current_path(before);
  check_pictures(stem);
  CHECK_EQ(files_in(folder.path), 4);
  const std::string svg = content_of(stem.string() + ".svg");
  CHECK_NE(svg.find(R"(`touch oops`$(touch oops)\n\q&lt;/script)"), std::string::npos);
  CHECK_NE(svg.find("&amp;amp;x_a^{b}@c~d%g#e|f"), std::string::npos);
  CHECK_NE(svg.find("日本語 x"), std::string::npos);
  CHECK_EQ(svg.find("</script"), std::string::npos);
}

TEST_CASE("a percent sign in a name is no format, wherever the name stands") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const auto matrices = made_up::cosines(made_up::streams(8), true);
  for (const std::string name : {"50% noise", "%g"}) {
    CAPTURE(name);
    const picture_files files{.stem = folder.path / "a", .formats = {image_format::svg}};
    const auto shown = [&](const picture& what, std::size_t times) {
      draw(what, files);
      const std::string svg = content_of(folder.path / "a.svg");
      std::size_t found = 0;
      for (std::size_t at = 0; (at = svg.find(">" + name + "<", at)) != std::string::npos; ++at) ++found;
      CHECK_EQ(found, times);  // gnuplot also writes the titles of curves as <title>
    };
    shown(heatmap(tensor_view<const float, 2>{matrices.data(), {10, 10}},
                  {.title = name, .value_label = name, .panel_titles = {name}, .groups = {{name, 5}, {name, 5}}}),
          7);
    const line_panel panel{.title = name, .series = {{.name = name, .x = {0, 1}, .y = {1, 2}}}};
    shown(lines({&panel, 1}, {.title = name, .x_label = name, .y_label = name}), 6);
    const std::vector<std::string> names{name, name};
    const interval_panel values{.title = name, .values = {1, 2}};
    shown(intervals(names, {&values, 1}, name), 4);
    const auto streams_of_all = made_up::streams(8);
    shown(streams(streams_of_all.view(), 3, {.title = name, .y_label = name, .categories = {{name, 5}, {"b", 5}}}), 4);
  }
}

TEST_CASE("a TMPDIR that cannot be used is named") {
  const temporary_folder folder;
  const picture square{.commands = "plot x"};
  for (const std::string name : {folder / "missing", folder.put("file", "")}) {
    const made_up::environment_variable chosen{"TMPDIR", name};
    try {
      draw(square, {.stem = folder.path / "a"});
      FAIL("no exception");
    } catch (const file_error& problem) {
      const std::string message = problem.what();
      CHECK_EQ(message.rfind(name + ": TMPDIR: expected a folder for temporary files, found No", 0), 0);
    }
  }
  CHECK_EQ(files_in(folder.path), 1);
}

TEST_CASE("a missing gnuplot throws gnuplot_missing and leaves no file") {
  const temporary_folder folder, empty;
  const made_up::environment_variable path{"PATH", empty.path.string()};
  const float values[4] = {0, 1, 1, 0};
  CHECK_THROWS_AS(draw(heatmap(tensor_view<const float, 2>{values, {2, 2}}), {.stem = folder.path / "a"}),
                  gnuplot_missing);
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("when gnuplot fails, the error says why, no file is left and the old picture is unchanged") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  write_file(folder.path / "a.png", "old");
  try {
    draw({.commands = "plot no_such_function(x)"}, {.stem = folder.path / "a"});
    FAIL("no exception");
  } catch (const gnuplot_error& problem) {
    CHECK_NE(std::string{problem.what()}.find("no_such_function"), std::string::npos);
  }
  CHECK_EQ(files_in(folder.path), 1);
  CHECK_EQ(content_of(folder.path / "a.png"), "old");
  CHECK_THROWS_AS(draw({.commands = "plot x"}, {.stem = folder.path / "missing" / "a"}), file_error);
}

// gnuplot 5.4 with Cairo fills the picture with black where a character has no font: U+E0FF is private, no font has it.
TEST_CASE("a character that no font has is drawn as a question mark") {
  NEEDS_GNUPLOT
  const temporary_folder folder;
  const float values[4] = {0, 1, 1, 0};
  for (const char* name : {"\xee\x83\xbf", "?"})
    draw(heatmap(tensor_view<const float, 2>{values, {2, 2}}, {.title = name}),
         {.stem = folder.path / name, .formats = {image_format::png}});
  CHECK_EQ(content_of(folder.path / "\xee\x83\xbf.png"), content_of(folder.path / "?.png"));
}

TEST_CASE("an axis of whole numbers has a step of 1, 2 or 5 times a power of ten") {
  CHECK_EQ(plot::detail::tick_step(0, 8), 1);
  CHECK_EQ(plot::detail::tick_step(8, 8), 1);
  CHECK_EQ(plot::detail::tick_step(9, 8), 2);
  CHECK_EQ(plot::detail::tick_step(100, 12), 10);
  CHECK_EQ(plot::detail::tick_step(121, 12), 20);
  CHECK_EQ(plot::detail::tick_step(50000, 8), 10000);
}

TEST_CASE("a label is cut at a character, not within one") {
  CHECK_EQ(plot::detail::shortened("articles", 8), "articles");
  CHECK_EQ(plot::detail::shortened("articles", 4), "art…");
  CHECK_EQ(plot::detail::shortened("日本語の本", 3), "日本…");
  CHECK_EQ(quantile_range({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1000}, {.low = 0.1, .high = 0.9}).high, doctest::Approx(9.4));
}

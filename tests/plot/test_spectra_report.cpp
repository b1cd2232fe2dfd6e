// SPDX-License-Identifier: MIT
// Spectra as panels, pictures and a page.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optscope/plot/spectra_report.hpp>

using namespace optscope;
using namespace optscope::plot;

namespace {

/// 5000 values from 1 to 1e-2, then a fall to 1e-16 after the 4000th.
spectrum_curve fallen() {
  spectrum_curve curve;
  curve.name = "layer 3";
  curve.size = 5000;
  for (std::size_t i = 0; i < 5000; ++i)
    curve.values.push_back(i < 4000 ? 7 * std::pow(10.0, -2.0 * double(i) / 4000) : 7e-16);
  curve.largest = 7;
  curve.floor = 7e-14;
  curve.bound = 4000;
  return curve;
}

const line_series* named(const line_panel& panel, const std::string& name) {
  for (const line_series& series : panel.series) {
    if (series.name == name) return &series;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("a spectrum's panel has few points, a sharp fall, the noise shaded and the bound dashed") {
  const spectra_set set{.name = "layers", .title = "Spectra", .blocks = {"attention"}, .curves = {{fallen()}}};
  const std::vector<line_panel> panels = spectrum_panels(set);
  REQUIRE(panels.size() == 1);
  const line_series* noise = named(panels[0], "noise");
  REQUIRE(noise != nullptr);
  CHECK(noise->high == std::vector<double>{1e-14, 1e-14});
  CHECK(noise->x == std::vector<double>{1, 5000});
  const line_series* curve = named(panels[0], "layer 3");
  REQUIRE(curve != nullptr);
  CHECK(curve->x.size() < 500);
  CHECK(curve->x.back() == 5000);
  CHECK(curve->y.front() == 1);
  double above = 0, below = 5000;  // the last point before the fall, the first after it
  for (std::size_t i = 0; i < curve->x.size(); ++i) {
    (curve->y[i] > 1e-3 ? above : below) =
        curve->y[i] > 1e-3 ? std::max(above, curve->x[i]) : std::min(below, curve->x[i]);
  }
  CHECK(above == 4000);
  CHECK(below == 4001);
  const line_series& bound = panels[0].series.back();
  CHECK(bound.dashed);
  CHECK(bound.x == std::vector<double>{4000, 4000});
}

TEST_CASE("spectra of different sizes are compared by share; a sampled one is drawn with its error bounds") {
  spectrum_curve sampled;
  sampled.name = "768 tokens";
  sampled.size = 1000;
  sampled.thresholds = {4, 2, 1};
  sampled.counts = {10, 100, 990};
  sampled.errors = {1, 10, 50};
  sampled.largest = 4;
  sampled.floor = 1;
  const spectra_set set{
      .name = "lengths", .title = "Spectra", .shares = true, .blocks = {"attention"}, .curves = {{fallen(), sampled}}};
  const line_panel panel = spectrum_panels(set)[0];
  CHECK(named(panel, "layer 3")->x.back() == 1);
  const line_series* curve = named(panel, "768 tokens");
  REQUIRE(curve != nullptr);
  CHECK(curve->x == std::vector<double>{0.01, 0.1, 0.99});
  CHECK(curve->y == std::vector<double>{1, 0.5, 0.25});
  std::vector<double> most;  // of the lines without a name
  for (const line_series& series : panel.series) {
    if (series.name.empty() && series.x.size() == 3) most.push_back(series.x.back());
  }
  CHECK(most == std::vector<double>{0.94, 1});
  // Bounds of counts hold at lower thresholds too: the lines run one way.
  sampled.errors = {1, 95, 50};
  const line_panel bounded = spectrum_panels({.shares = true, .blocks = {"attention"}, .curves = {{sampled}}})[0];
  for (const line_series& series : bounded.series) {
    if (series.name.empty() && series.x.size() == 3) CHECK(std::is_sorted(series.x.begin(), series.x.end()));
    if (series.name.empty() && series.x.size() == 3 && series.x.back() == 0.94) CHECK(series.x[1] == 0.009);
  }
  CHECK(named(panel, "noise")->high[0] ==
        1e-14);  // of the other spectrum; the sampled one ends at its resolution limit
}

TEST_CASE("the narrowest layer is marked in the panel of the width, as a tight pass if it stands out") {
  width_panel width{
      .block = "attention", .layers = {0, 1, 2}, .notions = {{"effective rank", {0.5, 0.1, 0.4}}}, .narrowest = 1};
  const std::vector<line_panel> panels = width_panels({width});
  CHECK(named(panels[0], "tight pass") == nullptr);
  const line_series* mark = named(panels[0], "narrowest");
  REQUIRE(mark != nullptr);
  CHECK(mark->x == std::vector<double>{1, 1});
  CHECK(mark->y[0] > panels[0].y_range->low);
  CHECK(mark->y[1] < panels[0].y_range->high);
  width.is_tight_pass = true;
  CHECK(named(width_panels({width})[0], "tight pass") != nullptr);
  width.of_texts = {{0.6, 0.1, 0.4}, {0.4, 0.1, 1e-4}};  // thin lines, inside the panel
  const line_panel of_texts = width_panels({width})[0];
  CHECK_EQ(of_texts.series.size(), panels[0].series.size() + 2);
  CHECK(of_texts.y_range->low <= 1e-4);
}

TEST_CASE("the pictures have the names of the sets, and the page holds tables, notes and overlaps") {
  spectra_report report;
  report.model = "a <model>";
  report.sets = {{.name = "layers",
                  .title = "Over the layers",
                  .levels = value_range{.low = 0, .high = 3},
                  .blocks = {"attention"},
                  .curves = {{fallen()}}}};
  report.widths = {{.block = "attention",
                    .layers = {0, 1, 2},
                    .notions = {{"effective rank", {0.5, 0.1, 0.4}}},
                    .narrowest = 1,
                    .verdict = "layer 1 is the narrowest."}};
  tensor<float, 2> overlap{{2, 2}};
  overlap(0, 0) = overlap(1, 1) = 1;
  overlap(0, 1) = overlap(1, 0) = 0.256f;
  report.overlaps = {{.name = "texts",
                      .title = "Directions",
                      .rows = {"one", "two"},
                      .panels = {{.title = "attention, what it writes", .values = overlap}}}};
  report.tables = {{.title = "Ranks", .columns = {"spectrum", "bound"}, .rows = {{"attn-3", "4000"}}}};
  report.notes = {"What an edge means."};
  const plot::report written = make_report(report);
  std::vector<std::string> names;
  for (const auto& [name, what] : written.pictures()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"spectra-layers", "width", "directions-texts"});
  const std::string page = written.html();
  for (const char* part : {"a &lt;model>", "\"attn-3\",\"4000\"", "What an edge means.", "\"0.26\"", "Over the layers",
                           "attention: layer 1 is the narrowest."}) {
    CHECK_MESSAGE(page.find(part) != std::string::npos, part);
  }
}

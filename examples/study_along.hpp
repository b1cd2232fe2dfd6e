// SPDX-License-Identifier: MIT
#pragma once
// Streams along directions in `study`: principal components, linear discriminants, and what `isolate` removed.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optscope/core/json_writer.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/plot/study_report.hpp>
#include <optscope/reduction/discriminants.hpp>
#include <string>
#include <utility>
#include <vector>

namespace study_along {

using namespace optscope;

constexpr std::size_t most_axes = 3;

/// One kind of direction, at every layer.
struct kind {
  std::string name{}, what{};                      // "pca", "principal components"
  std::vector<std::size_t> places{};               // indices into the study's layers
  std::vector<std::array<fitted_axes, 2>> axes{};  // [place][half]: what separation is measured along
  std::vector<fitted_axes> drawn{};                // [place]: whose first axis is drawn
  separations found{};
  std::size_t best = 0;              // place with the most texts at their own category
  tensor<float, 3> values{};         // (layer, text, position), along the first axis of that place
  std::vector<std::size_t> texts{};  // drawn: those that the axis was not fitted to
};

/// The stream after each layer (vector, hidden), `each` vectors a text.
struct streams {
  std::vector<tensor_view<const float, 2>> layers{};
  std::vector<std::size_t> category{};  // [text]
  std::size_t each = 0;

  /// The vectors of some texts.
  [[nodiscard]] tensor<float, 2> of(std::size_t layer, const std::vector<std::size_t>& texts) const {
    tensor<float, 2> rows{{texts.size() * each, layers[layer].cols()}};
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      std::ranges::copy(layers[layer].row(texts[i / each] * each + i % each), rows.row(i).begin());
    }
    return rows;
  }
  [[nodiscard]] std::vector<std::size_t> half(std::size_t which) const {
    const std::vector<std::size_t> of = halves_of_texts(category);
    std::vector<std::size_t> texts;
    for (std::size_t t = 0; t < of.size(); ++t) {
      if (of[t] == which || which == 2) texts.push_back(t);
    }
    return texts;
  }
};

/// Measures and draws a kind whose axes are known.
inline void measure(kind& of, const streams& from, bool fitted, std::size_t most, std::uint64_t seed) {
  std::vector<std::array<tensor<double, 2>, 2>> means(of.places.size());  // of the texts: (text, axis)
  for (std::size_t p = 0; p < of.places.size(); ++p) {
    for (std::size_t h = 0; h < 2; ++h) {
      const tensor<double, 2> all = coordinates_along(of.axes[p][h], from.layers[of.places[p]]);
      means[p][h] = tensor<double, 2>{{from.category.size(), all.extent(1)}};
      for (std::size_t i = 0; i < all.rows(); ++i) {
        for (std::size_t k = 0; k < all.extent(1); ++k) {
          means[p][h](i / from.each, k) += all(i, k) / static_cast<double>(from.each);
        }
      }
    }
  }
  of.found = cross_validate(means, from.category, most, seed);
  for (std::size_t p = 0; p < of.places.size(); ++p) {
    if (of.found.layers[p].right > of.found.layers[of.best].right) of.best = p;
  }
  const fitted_axes& drawn = of.drawn[of.best];
  if (drawn.axes.rows() == 0) return;
  of.values = tensor<float, 3>{{from.layers.size(), from.category.size(), from.each}};
  for (std::size_t layer = 0; layer < from.layers.size(); ++layer) {
    const tensor<double, 2> all = coordinates_along(drawn, from.layers[layer]);
    for (std::size_t i = 0; i < all.rows(); ++i) {
      of.values.row(layer)[i] = static_cast<float>(all(i, 0));
    }
  }
  of.texts = from.half(fitted && of.found.labelings > 0 ? 1 : 2);
}

/// Directions fitted to one half of the texts, measured on the other.
inline kind fit(const std::string& name, const streams& from, std::size_t most, std::uint64_t seed) {
  const bool discriminants = name == "discriminants";
  kind result{.name = name, .what = discriminants ? "linear discriminants" : "the first three principal components"};
  for (std::size_t layer = 0; layer < from.layers.size(); ++layer) {
    result.places.push_back(layer);
    auto& both = result.axes.emplace_back();
    for (std::size_t h = 0; h < 2; ++h) {
      const tensor<float, 2> points = from.of(layer, from.half(h));
      both[h] = discriminants ? whitening_axes(points.view()) : principal_axes(points.view(), most_axes);
    }
    if (!discriminants) {
      result.drawn.push_back(both[0]);
      continue;
    }
    std::vector<std::size_t> category;
    for (const std::size_t t : from.half(0)) category.insert(category.end(), from.each, from.category[t]);
    result.drawn.push_back(linear_discriminants(from.of(layer, from.half(0)).view(), category));
  }
  measure(result, from, true, most, seed);
  return result;
}

/// The directions that `isolate` removed from the inputs of layers, of which `layers` are those of the study.
inline kind removed(const std::filesystem::path& file, const removal& what, const std::vector<std::size_t>& layers,
                    const streams& from, std::size_t most, std::uint64_t seed) {
  kind result{.name = file.stem().string(), .what = "directions that isolate removed (" + file.string() + ")"};
  for (std::size_t place = 0; place < layers.size(); ++place) {
    const std::size_t into = layers[place] + 1;
    if (into >= what.layers.size() || what.layers[into].directions.empty()) continue;
    const layer_removal& of = what.layers[into];
    const std::size_t width = of.basis->right.extent(1), count = std::min(most_axes, of.directions.size());
    fitted_axes axes{.axes = tensor<double, 2>{{count, width}}, .origin = std::vector<double>(width)};
    for (std::size_t k = 0; k < count; ++k) {
      for (std::size_t j = 0; j < width; ++j) {
        axes.axes(k, j) = static_cast<double>(of.basis->right(of.directions[k], j));
      }
    }
    result.places.push_back(place);
    result.axes.push_back({axes, axes});
    result.drawn.push_back(std::move(axes));
  }
  if (result.places.empty()) {
    throw bad_input{file.string(), "layers",
                    "directions that are removed from the input of a layer after one of --layers", "none"};
  }
  measure(result, from, false, most, seed);
  return result;
}

/// What is found along a kind of direction, in a sentence or two.
inline std::string finding_of(const kind& of, const std::vector<std::size_t>& layers) {
  const separations& found = of.found;
  if (found.labelings == 0) {
    return "Along " + of.what + ": not tested, that takes two categories, and two texts in each.";
  }
  const separation& best = found.layers[of.best];
  char text[200];
  std::snprintf(
      text, sizeof text,
      "%zu of %zu texts are nearest to their own category's mean over the other half of the texts (p %.3g over "
      "all layers; by chance %.1f, and more than %zu in some layer in 5 %% of the cases at most).",
      best.right, found.texts, best.p_over_all, found.by_chance, found.level);
  std::string sentence =
      "Along " + of.what + " after layer " + std::to_string(layers[of.places[of.best]]) + ", " + text;
  if (found.smallest_p > 0.05) {
    sentence += " Too few texts to tell: no p can be below " + std::to_string(found.smallest_p) + ".";
  }
  return sentence;
}

/// Adds the section to the study's report.
inline void add(plot::report& page, const std::vector<kind>& all, const plot::study_report& study) {
  std::vector<std::string> sentences;
  plot::line_panel panel;
  for (const kind& each : all) {
    sentences.push_back(finding_of(each, study.layers));
    if (each.found.labelings == 0) continue;
    plot::line_series line{.name = each.what, .colour = plot::hue(panel.series.size())};
    for (std::size_t p = 0; p < each.places.size(); ++p) {
      line.x.push_back(static_cast<double>(study.layers[each.places[p]]));
      line.y.push_back(static_cast<double>(each.found.layers[p].right));
    }
    plot::line_series chance{.x = line.x, .colour = line.colour, .width = 0.8, .dashed = true};
    chance.y.assign(line.x.size(), each.found.by_chance);
    panel.series.push_back(std::move(line));
    panel.series.push_back(std::move(chance));
  }
  sentences.push_back(
      "Directions are fitted to every other text of each category; a text is right if, along the directions that were "
      "fitted to the other half, it is nearest to its own category's mean there. Chance: the same with labels "
      "exchanged "
      "within the halves. Directions of isolate are as its file has them: if it was given the same texts, they were "
      "not "
      "fitted without these.");
  page.notes("Streams along directions", sentences);
  if (!panel.series.empty()) {
    page.chart("", "Texts that are right, by layer. Dashed: by chance.", {&panel, 1},
               {.x_label = "layer", .y_label = "texts that are right"});
  }
  for (const kind& each : all) {
    if (each.texts.empty()) continue;
    tensor<float, 3> shown{{each.values.rows(), each.texts.size(), each.values.extent(2)}};
    std::vector<plot::report_text> texts;
    for (const std::size_t t : each.texts) texts.push_back(study.texts[t]);
    for (std::size_t layer = 0; layer < shown.rows(); ++layer) {
      for (std::size_t t = 0; t < each.texts.size(); ++t) {
        for (std::size_t p = 0; p < shown.extent(2); ++p) shown(layer, t, p) = each.values(layer, each.texts[t], p);
      }
    }
    const std::string layer = std::to_string(study.layers[each.places[each.best]]);
    plot::streams_options options{.title = "resid_post along " + each.name + ", layer " + layer,
                                  .y_label = "coordinate",
                                  .categories = plot::groups_of(texts),
                                  .layers = study.layers};
    page.picture("",
                 "Along the first direction of " + each.name + " at layer " + layer + ": " +
                     std::to_string(texts.size()) + " of " + std::to_string(study.texts.size()) + " texts" +
                     (texts.size() < study.texts.size() ? ", those that it was not fitted to." : "."),
                 "along-" + each.name, plot::streams(shown.view(), options));
  }
}

inline std::string summary_of(const std::vector<kind>& all, const std::vector<std::size_t>& layers) {
  json_writer json;
  json.begin_array();
  for (const kind& each : all) {
    const bool tested = each.found.labelings > 0;
    json.begin_object().field("directions", each.name).field("finding", finding_of(each, layers));
    json.field("texts", each.found.texts)
        .field("labelings", each.found.labelings)
        .field("right_by_chance", each.found.by_chance);
    json.field("level", each.found.level).field("smallest_p", each.found.smallest_p).key("by_layer").begin_array();
    for (std::size_t p = 0; p < each.places.size(); ++p) {
      json.begin_object().field("layer", layers[each.places[p]]).key("right");
      tested ? json.value(each.found.layers[p].right) : json.value(nullptr);
      json.field("p_over_all", tested ? each.found.layers[p].p_over_all : std::nan("")).end_object();
    }
    json.end_array().field("drawn_at", layers[each.places[each.best]]);
    json.field("file", each.values.size() > 0 ? "data/along-" + each.name + ".npy" : std::string{}).end_object();
  }
  json.end_array();
  return json.text();
}

}  // namespace study_along

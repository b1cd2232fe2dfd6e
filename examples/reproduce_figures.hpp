// SPDX-License-Identifier: MIT
#pragma once
// The figures of the similarity study, each from what `study` and `tight_pass` wrote, with a claim, a test and a
// verdict.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/similarity/blocks.hpp>
#include <string>
#include <utility>
#include <vector>

#include "reproduce_summary.hpp"
#include "support/shown.hpp"

namespace reproduce {

using namespace optscope;
namespace fs = std::filesystem;

using program::number;

enum class verdict { holds, does_not_hold, cannot_be_told };
inline std::string text_of(verdict what) {
  return what == verdict::holds           ? "holds"
         : what == verdict::does_not_hold ? "does not hold"
                                          : "cannot be told with so few texts";
}

/// One figure of the study.
struct figure {
  std::string heading{}, claim{};
  std::string found{};  ///< what is found here
  std::string test{};   ///< n, and what chance gives
  verdict result = verdict::cannot_be_told;
  std::vector<std::pair<std::string, plot::picture>> pictures{};  ///< name, what
  std::vector<std::string> captions{};                            ///< [picture]
};

/// The input: what the programs wrote.
struct sources {
  fs::path study, few, many;  ///< folders of `study`, and of `tight_pass` at few tokens and at many
  summary of_study{study / "summary.json"}, of_few{few / "summary.json"}, of_many{many / "summary.json"};
  std::vector<std::size_t> category{}, layers{};  ///< [text], [layer]
  std::vector<plot::row_group> groups{};          ///< texts of each category
  std::size_t positions = 0;                      ///< of a text

  sources(fs::path study_folder, fs::path few_folder, fs::path many_folder)
      : study{std::move(study_folder)}, few{std::move(few_folder)}, many{std::move(many_folder)} {
    for (const summary& text : of_study.at("texts").list()) {
      const std::string name = text.at("category").text();
      if (groups.empty() || groups.back().name != name) groups.push_back({.name = name, .size = 0});
      ++groups.back().size;
      category.push_back(groups.size() - 1);
    }
    for (const summary& layer : of_study.at("layers").list()) layers.push_back(layer.count());
    positions = of_study.at("positions").list().size();
  }
  /// The groups of matrices with `rows` vectors of each text.
  [[nodiscard]] std::vector<plot::row_group> groups_of(std::size_t rows) const {
    std::vector<plot::row_group> result = groups;
    for (plot::row_group& each : result) each.size *= rows;
    return result;
  }
  [[nodiscard]] std::string texts() const {
    return std::to_string(category.size()) + " texts of " + std::to_string(groups.size()) +
           (groups.size() == 1 ? " category" : " categories");
  }
};

/// Whether matrices (layer, vector, vector) have blocks: test, finding and verdict, all layers of all sets together.
inline void test_blocks(figure& of, const sources& from, const std::vector<tensor<float, 3>>& sets) {
  std::vector<tensor<double, 2>> of_texts;
  for (const tensor<float, 3>& matrices : sets) {
    const std::size_t vectors = matrices.extent(1), each = vectors / from.category.size();
    vector_labels labels{.text = {}, .category = from.category};
    for (std::size_t v = 0; v < vectors; ++v) labels.text.push_back(v / each);
    for (std::size_t layer = 0; layer < matrices.rows(); ++layer) {
      of_texts.push_back(
          similarity_of_texts(tensor_view<const float, 2>{matrices.row(layer).data(), {vectors, vectors}}, labels));
    }
  }
  const std::vector<block_summary> blocks = similarity_blocks(of_texts, from.category);
  std::size_t found = 0, best = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].test.labelings > 0 && blocks[i].test.p_over_all <= 0.05) ++found;
    if (blocks[i].test.score > blocks[best].test.score) best = i;
  }
  const block_summary& clearest = blocks[best];
  const std::string matrices = std::to_string(blocks.size()) + (blocks.size() == 1 ? " matrix" : " matrices");
  of.found = "Of " + matrices + ", " + std::to_string(found) + " separate the categories. The clearest, of layer " +
             std::to_string(from.layers[best % from.layers.size()]) + ", has mean similarity " +
             number(clearest.within_category) + " within a category and " + number(clearest.between_categories) +
             " between two; a pair of texts of one category is the more alike in " + number(100 * clearest.effect) +
             " % (" +
             (std::isnan(clearest.effect_low) ? ""
                                              : "95 % interval " + number(100 * clearest.effect_low) + " to " +
                                                    number(100 * clearest.effect_high) + "; ") +
             "50 % by chance).";
  if (clearest.test.labelings == 0) {
    of.found = "There are no pairs of texts to compare within categories and between them.";
    of.test = from.texts() + ": a test takes two categories, and two texts in one.";
    return;
  }
  of.test = "Permutation of the categories among " + from.texts() + ", " + std::to_string(clearest.test.labelings) +
            " labellings, corrected for all matrices of the figure: p " + number(clearest.test.p_over_all) +
            " for the clearest; no p can be below " + number(clearest.test.smallest_p) +
            ". By chance one figure in 20 has a matrix that separates.";
  if (clearest.test.smallest_p > 0.05) return;
  of.result = found > 0 ? verdict::holds : verdict::does_not_hold;
}

inline plot::picture heatmap_of(const sources& from, const tensor<float, 3>& matrices, const std::string& title,
                                const std::string& metric) {
  plot::heatmap_options options{
      .title = title, .value_label = metric, .groups = from.groups_of(matrices.extent(1) / from.category.size())};
  for (const std::size_t layer : from.layers) options.panel_titles.push_back("layer " + std::to_string(layer));
  return plot::heatmap(matrices.view(), options);
}

/// Similarity of all layers at one site under one metric; `last`: of one vector a text.
inline figure of_matrices(const sources& from, std::string heading, std::string claim,
                          const std::vector<std::string>& sites, const std::string& metric, bool last) {
  figure result{.heading = std::move(heading), .claim = std::move(claim)};
  std::vector<tensor<float, 3>> sets;
  for (const std::string& site : sites) {
    const std::string name = site + "-" + metric + (last ? "-last" : "");
    sets.push_back(read_npy<float, 3>(from.study / "data" / (name + ".npy")));
    const std::size_t size = sets.back().extent(1);
    result.pictures.emplace_back(name, heatmap_of(from, sets.back(), site + ", " + metric, metric));
    result.captions.push_back(std::to_string(size) + " x " + std::to_string(size) + " in each layer, " + site + ".");
  }
  test_blocks(result, from, sets);
  return result;
}

inline figure of_streams(const sources& from) {
  figure result{
      .heading = "Streams of single dimensions",
      .claim = "Followed through the layers, some single dimensions of the stream run apart by the kind of text."};
  const double smallest = from.of_study.at("similarity").list().at(0).at("smallest_p").real();
  for (const summary& site : from.of_study.at("separating_dimensions").list()) {
    if (site.at("site").text() != "resid_post") continue;
    const tensor<float, 4> values = read_npy<float, 4>(from.study / "data" / "stream-resid_post.npy");
    const std::vector<summary> best = site.at("best").list();
    const double level = site.at("F_by_chance").real();
    const std::size_t dimension = best.empty() ? 0 : best[0].at("dimension").count();
    plot::streams_options options{.title = "resid_post, dimension " + std::to_string(dimension),
                                  .y_label = "activation",
                                  .categories = from.groups,
                                  .layers = from.layers};
    result.pictures.emplace_back("stream-resid_post-" + std::to_string(dimension),
                                 plot::streams(values.view(), dimension, options));
    result.captions.push_back("The dimension with the largest F; one line for each text and position.");
    if (best.empty() || std::isnan(level)) {
      result.found = "Dimensions are not compared.";
      result.test = from.texts() + ": a test takes two categories, and more texts than categories.";
      return result;
    }
    const double f = best[0].at("F").real(), other = best[0].at("F_on_other_half").real(),
                 p = best[0].at("p_over_all").real();
    result.found =
        "Of " + std::to_string(values.extent(3)) + " dimensions in " + std::to_string(from.layers.size()) +
        " layers, dimension " + std::to_string(dimension) + " at layer " + std::to_string(best[0].at("layer").count()) +
        " separates the categories best: F " + number(f) +
        (std::isnan(other) ? "." : "; on the half of the texts that it was not chosen on, " + number(other) + ".");
    result.test = "The largest F of all dimensions and layers, over the means of " + from.texts() +
                  (std::isnan(other) ? "" : " (half of them)") + ", exceeds " + number(level) +
                  " in 5 % of exchanges of the labels; p " + number(p) + ".";
    if (smallest > 0.05) return result;
    result.result = p <= 0.05 ? verdict::holds : verdict::does_not_hold;
  }
  return result;
}

/// A spectrum, or the counts of a sampled one, as a curve: singular value over index.
inline plot::line_series curve_of(const fs::path& folder, const summary& of) {
  plot::line_series curve;
  const std::string file = of.at("file").text();
  if (file.rfind("density", 0) == 0) {
    const tensor<double, 2> table = read_npy<double, 2>(folder / file);  // (threshold, count, error)
    for (std::size_t i = 0; i < table.rows(); ++i) {
      if (!(table(i, 1) > 0.5)) continue;
      curve.x.push_back(table(i, 1));
      curve.y.push_back(table(i, 0));
    }
    return curve;
  }
  const tensor<double, 1> values = read_npy<double, 1>(folder / file);
  const std::size_t step = std::max<std::size_t>(1, values.size() / 800);
  for (std::size_t i = 0; i < values.size(); i += step) {
    curve.x.push_back(static_cast<double>(i + 1));
    curve.y.push_back(values.data()[i]);
  }
  return curve;
}

/// The spectra of one block over the layers, at the first text.
inline plot::line_panel panel_of(const sources& from, const fs::path& folder, const std::vector<summary>& spectra,
                                 const std::string& block, const std::string& title) {
  plot::line_panel panel{.title = title};
  const std::string text = spectra.at(0).at("text").text();
  for (const summary& each : spectra) {
    if (each.at("block").text() != block || each.at("text").text() != text) continue;
    plot::line_series& curve = panel.series.emplace_back(curve_of(folder, each));
    const double last = static_cast<double>(std::max<std::size_t>(from.layers.back(), 1));
    curve.colour = plot::viridis(static_cast<double>(each.at("layer").count()) / last);
    curve.width = 1;
  }
  return panel;
}

inline figure of_spectra(const sources& from, bool few) {
  const summary& of = few ? from.of_few : from.of_many;
  const fs::path& folder = few ? from.few : from.many;
  const std::vector<summary> spectra = of.at("spectra").list();
  const std::size_t tokens = spectra.at(0).at("tokens").count();
  figure result{.heading = "Singular spectra, " + std::to_string(few ? tokens - 1 : tokens) +
                           (few ? " tokens and BOS" : " tokens")};
  result.claim =
      "The singular values of a block's Jacobian break off before their end, so that the block passes less than it "
      "could: with two tokens attention at about 2,200 of 2,304, the dense block near 1,240. (Two tokens were three "
      "with BOS.)";
  std::size_t whole = 0, edges = 0, unexplained = 0;
  std::string examples;
  for (const summary& each : spectra) {
    if (!each.has("gap")) {
      whole += each.at("file").text().rfind("spectrum", 0) == 0;
      continue;
    }
    ++whole;
    const summary gap = each.at("gap");
    if (gap.is_null()) continue;
    // What structure puts there: LayerNorm takes two directions of each token, a ReLU block has as many as are active.
    const double size = each.at("size").real(), at = gap.at("count").real(), bound = each.at("bound").real();
    const double layer_norm = size - 2 * static_cast<double>(tokens), near = 0.01 * size;
    ++edges;
    const bool structure = std::abs(at - bound) <= near || std::abs(at - layer_norm) <= near;
    const double chance = gap.at("chance").real() * static_cast<double>(spectra.size());
    if (structure || chance > 0.05) continue;
    ++unexplained;
    if (unexplained <= 3) {
      examples += (examples.empty() ? "" : ", ") + each.at("name").text() + " at " + number(at) + " of " + number(size);
    }
  }
  result.found = std::to_string(edges) + " of " + std::to_string(spectra.size()) +
                 " spectra (layers, two blocks, texts) have a gap of 0.3 decade or more. " +
                 (unexplained == 0
                      ? std::string{"Where there is one beyond chance, it is where LayerNorm and the number of active "
                                    "neurons put it."}
                      : std::to_string(unexplained) + " are elsewhere: " + examples + (unexplained > 3 ? ", …." : "."));
  if (whole < spectra.size()) {
    result.found += " " + std::to_string(spectra.size() - whole) +
                    " spectra were sampled, because all values would take too long; these show no gap.";
  }
  result.test =
      "A gap counts if the probability of a gap as wide among this many values by chance is below 0.05 over " +
      std::to_string(spectra.size()) +
      " spectra, and if it is not within 1 % of the structural bound: two directions of each token lost in "
      "LayerNorm, and in the MLP the active neurons. By chance there is such a gap in one model of 20.";
  result.result = whole == 0 ? verdict::cannot_be_told : unexplained > 0 ? verdict::holds : verdict::does_not_hold;
  const std::vector<plot::line_panel> panels{panel_of(from, folder, spectra, "attn", "attention"),
                                             panel_of(from, folder, spectra, "mlp", "MLP")};
  const auto [first, last] = std::minmax_element(from.layers.begin(), from.layers.end());
  plot::lines_options options{
      .title = "Singular values", .x_label = "index", .y_label = "singular value", .log_y = true};
  if (*first != *last) {
    options.levels = plot::value_range{.low = static_cast<double>(*first), .high = static_cast<double>(*last)};
  }
  result.pictures.emplace_back("spectra-" + std::to_string(tokens), plot::lines(panels, options));
  result.captions.push_back("One curve for each layer, text " + spectra[0].at("text").text() + ".");
  return result;
}

inline figure of_widths(const sources& from) {
  figure result{.heading = "Width over the layers",
                .claim =
                    "No layer is so narrow that it would be a tight pass, through which little comes: there is no "
                    "strong evidence either way."};
  plot::line_panel panel;
  std::size_t narrow = 0, told = 0, texts = 0;
  for (const summary& block : from.of_few.at("tight_pass").list()) {
    const std::string name = block.at("block").text();
    plot::line_series& curve = panel.series.emplace_back();
    curve = {.name = name, .colour = plot::hue(panel.series.size() - 1)};
    const std::vector<summary> shares = block.at("effective_rank_over_bound").list();
    if (shares.size() != from.layers.size()) {
      throw bad_input{(from.few / "summary.json").string(), "tight_pass",
                      std::to_string(from.layers.size()) + " layers, as `study` has", std::to_string(shares.size())};
    }
    for (const summary& share : shares) {
      curve.x.push_back(static_cast<double>(from.layers[curve.y.size()]));
      curve.y.push_back(share.real());
    }
    texts = std::max(texts, block.at("texts").count());
    if (block.at("layer").is_null()) continue;
    const bool stands_out = block.at("stands_out").is_true(), inside = block.at("inside").is_true();
    result.found += (result.found.empty() ? "" : " ") + std::string{"The narrowest layer of "} + name + " is " +
                    number(block.at("layer").real()) + "; the next is " + number(100 * block.at("margin").real()) +
                    " % wider (95 % " + number(100 * block.at("margin_low").real()) + " to " +
                    number(100 * block.at("margin_high").real()) + ")" +
                    (stands_out && inside ? ": a tight pass."
                     : stands_out         ? ", but it is at an end."
                                          : ".");
    told += !block.at("stands_out").is_null();
    narrow += stands_out && inside;
  }
  result.test = "Effective rank over the structural bound, compared between layers at the same text, over " +
                std::to_string(texts) +
                " texts that begin differently; of layers equally wide one stands out in 5 % of the cases.";
  result.result = told == 0 ? verdict::cannot_be_told : narrow > 0 ? verdict::does_not_hold : verdict::holds;
  result.pictures.emplace_back(
      "width", plot::lines({&panel, 1}, {.title = "Width of the blocks", .y_label = "effective rank / bound"}));
  result.captions.push_back("Geometric mean over the texts.");
  return result;
}

/// Single heads: the two of the last layer that separate the categories best and least.
inline figure of_heads(const sources& from) {
  figure result{.heading = "Single heads",
                .claim =
                    "Heads have blocks of their own, and those of one layer differ (heads 5 and 11 of the last layer "
                    "of OPT-125M)."};
  const summary separation = from.of_study.at("heads").at("separation").list().at(0);
  const std::vector<summary> heads = separation.at("heads").list();
  const std::size_t found = separation.at("found").count();
  std::vector<std::size_t> of_last;  // heads of the last layer, best first
  for (const summary& each : heads) {
    if (each.at("layer").count() == from.layers.back()) of_last.push_back(each.at("head").count());
  }
  const auto values = read_npy<float, 4>(from.study / "data" / "z-values.npy");
  const auto alike = read_npy<float, 4>(from.study / "data" / ("z-" + separation.at("metric").text() + ".npy"));
  const std::size_t vectors = values.extent(2), width = values.extent(3), layer = from.layers.size() - 1;
  std::vector<std::size_t> drawn{of_last.front()};
  if (of_last.size() > 1) drawn.push_back(of_last.back());
  for (const std::size_t head : drawn) {
    const std::string name = std::to_string(from.layers.back()) + "." + std::to_string(head);
    const std::size_t place = layer * values.extent(1) + head;
    plot::heatmap_options options{
        .title = "z of head " + name, .value_label = "cosine", .groups = from.groups_of(from.positions)};
    result.pictures.emplace_back(
        "z-" + name,
        plot::heatmap(tensor_view<const float, 2>{alike.data() + place * vectors * vectors, {vectors, vectors}},
                      options));
    result.captions.push_back(
        "Head " + name +
        (head == of_last.front() ? ", which separates the categories best in its layer." : ", which does so least."));
    options.value_label = "value";
    options.groups_of_rows = true;
    result.pictures.emplace_back(
        "z-" + name + "-values",
        plot::heatmap(tensor_view<const float, 2>{values.data() + place * vectors * width, {vectors, width}}, options));
    result.captions.push_back("The same head's values.");
  }
  const double level = separation.at("score_by_chance").real(), smallest = separation.at("smallest_p").real();
  result.found = std::to_string(found) + " of " + std::to_string(heads.size()) +
                 " heads separate the categories better than the best of all does by chance; best " +
                 std::to_string(heads[0].at("layer").count()) + "." + std::to_string(heads[0].at("head").count()) +
                 " (score " + number(heads[0].at("score").real()) + "), least " +
                 std::to_string(heads.back().at("layer").count()) + "." +
                 std::to_string(heads.back().at("head").count()) + " (" + number(heads.back().at("score").real()) +
                 "). All are on heads.html of the study.";
  if (separation.at("labelings").count() == 0) {
    result.test = from.texts() + ": a test takes two categories, and two texts in one.";
    return result;
  }
  result.test = "Permutation of the categories among " + from.texts() + ", " +
                std::to_string(separation.at("labelings").count()) +
                " labellings: the largest score of all heads and metrics exceeds " + number(level) +
                " in 5 % of them; no p can be below " + number(smallest) + ".";
  if (smallest > 0.05) return result;
  result.result = found > 0 && found < heads.size() ? verdict::holds : verdict::does_not_hold;
  return result;
}

/// All figures, in the order of the study.
inline std::vector<figure> figures_of(const sources& from) {
  const std::string vectors = std::to_string(from.category.size() * from.positions);
  std::vector<figure> all;
  all.push_back(of_matrices(
      from, std::to_string(from.category.size()) + " x " + std::to_string(from.category.size()) + " at one position",
      "At one position, what attention adds is more alike for texts of one kind than for texts of two.", {"attn_out"},
      "cosine", true));
  all.push_back(of_matrices(from, vectors + " x " + vectors + ", attention, before the residual",
                            "In all layers together, what attention adds has blocks by kind of text.", {"attn_out"},
                            "cosine", false));
  all.push_back(of_matrices(from, vectors + " x " + vectors + ", decoder, after the residual",
                            "The stream after a layer has blocks by kind of text.", {"resid_post"}, "cosine", false));
  all.push_back(of_streams(from));
  all.push_back(of_spectra(from, true));
  all.push_back(of_spectra(from, false));
  all.push_back(of_widths(from));
  all.push_back(of_matrices(from, "Scaled cosine",
                            "Blocks are not due to directions of short vectors: divided by the longest vector of the "
                            "layer, so that two short vectors stay short, the similarities still have them.",
                            {"attn_out", "resid_post"}, "scaled_cosine", false));
  all.push_back(of_heads(from));
  return all;
}

}  // namespace reproduce

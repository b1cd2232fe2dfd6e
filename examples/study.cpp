// SPDX-License-Identifier: MIT
// The similarity study: how alike attention outputs and decoder outputs of different texts are, layer by layer.
#include <algorithm>
#include <cmath>
#include <deque>
#include <iostream>
#include <map>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/study_report.hpp>
#include <optscope/plot/study_summary.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/similarity/by_layer.hpp>
#include <optscope/similarity/low_rank.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <optscope/similarity/without.hpp>
#include <optscope/units/selectivity.hpp>

#include "study_along.hpp"
#include "study_heads_report.hpp"
#include "support/device.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t seed = 1;  // of random labellings
constexpr std::size_t most_of_blocks = 20'000, most_of_dimensions = 500, most_of_heads = 5'000, most_of_along = 1'000;
constexpr std::size_t repeats = 8, repeated_tokens = 50;  // random texts for the induction score

/// What `--metrics` names. A custom metric needs one line: `all.push_back(named<my_metric>());`.
std::vector<named_metric> metrics() {
  std::vector<named_metric> all = pair_metrics();
  return all;
}

/// The study's results; `report` refers to the tensors.
struct study {
  plot::study_report report;
  vector_labels labels;
  vector_sources sources{};
  std::deque<layer_similarities> similarities{};
  std::deque<tensor<float, 4>> streams{};              // (layer, text, position, hidden)
  std::deque<std::deque<tensor<float, 2>>> changed{};  // [site][layer]: (vector, hidden), what is compared
};

/// Similarities of one site under one metric, for the report and as files; `layers` has (vector, hidden) of each.
void compare(study& s, const std::string& site, const named_metric& metric,
             const std::vector<tensor_view<const float, 2>>& layers, const fs::path& data, thread_pool& pool) {
  const layer_similarities& found =
      s.similarities.emplace_back(similarities_by_layer(layers, s.labels, metric.measure, pool));
  write_npy(data / (site + "-" + metric.name + ".npy"), found.all.view());
  write_npy(data / (site + "-" + metric.name + "-last.npy"), found.last.view());
  const auto add = [&](const plot::report_vector_set& set, const tensor<float, 3>& values) {
    s.report.matrices.push_back({.site = site, .metric = metric.name, .set = set.name, .values = values});
  };
  add(s.report.sets[0], found.all);
  if (s.report.sets.size() > 1) add(s.report.sets[1], found.last);
  plot::report_curves& curves = s.report.curves.emplace_back(
      plot::report_curves{.site = site, .metric = metric.name, .distance = metric.distance});
  if (s.sources.position.size() > most_vectors_of_fit) return;
  curves.low_rank.resize(layers.size());
  pool.parallel_for(layers.size(), [&](std::size_t layer, std::size_t) {
    const low_rank_fit fit = fit_low_rank(layers[layer], metric, s.sources, seed);
    curves.low_rank[layer] = {.rank = fit.rank,
                              .common = fit.common,
                              .explained = fit.explained,
                              .residual = fit.residual,
                              .diagonal = fit.diagonal,
                              .finding = finding_of(fit)};
  });
}

/// Means and tests of all similarities together.
void test(study& s, const std::vector<std::string>& sites,
          const std::vector<std::vector<tensor_view<const float, 2>>>& layers) {
  const std::size_t depth = s.report.layers.size();
  std::vector<tensor<double, 2>> of_texts;
  std::vector<bool> distance;
  for (std::size_t i = 0; i < s.similarities.size(); ++i) {
    const std::vector<tensor<double, 2>>& each = s.similarities[i].of_texts;
    of_texts.insert(of_texts.end(), each.begin(), each.end());
    distance.insert(distance.end(), depth, s.report.curves[i].distance);
  }
  std::vector<tensor_view<const float, 2>> sets;
  for (const auto& of_site : layers) sets.insert(sets.end(), of_site.begin(), of_site.end());
  const std::vector<block_summary> blocks =
      similarity_blocks(of_texts, s.labels.category, most_of_blocks, seed, distance);
  const std::vector<label_test> means = test_of_means(sets, s.labels, most_of_blocks, seed);
  const auto p_or_none = [](const label_test& of, double p) { return of.labelings == 0 ? std::nan("") : p; };
  for (std::size_t i = 0; i < s.report.curves.size(); ++i) {
    plot::report_curves& curves = s.report.curves[i];
    const auto site = static_cast<std::size_t>(std::ranges::find(sites, curves.site) - sites.begin());
    for (std::size_t layer = 0; layer < depth; ++layer) {
      const block_summary& found = blocks[i * depth + layer];
      const label_test& of_means = means[site * depth + layer];
      curves.within_text.push_back(found.within_text);
      curves.within_category.push_back(found.within_category);
      curves.between_categories.push_back(found.between_categories);
      curves.within_each.resize(found.within_each.size());
      for (std::size_t c = 0; c < found.within_each.size(); ++c) {
        curves.within_each[c].push_back(found.within_each[c]);
      }
      curves.p_value.push_back(p_or_none(found.test, found.test.p));
      curves.p_over_all.push_back(p_or_none(found.test, found.test.p_over_all));
      curves.p_holm.push_back(p_or_none(found.test, found.test.p_holm));
      curves.effect.push_back(found.effect);
      curves.effect_low.push_back(found.effect_low);
      curves.effect_high.push_back(found.effect_high);
      curves.p_of_means.push_back(p_or_none(of_means, of_means.p));
      curves.means_p_over_all.push_back(p_or_none(of_means, of_means.p_over_all));
      curves.smallest_p = found.test.smallest_p;
      curves.labelings = found.test.labelings;
      curves.exact = found.test.exact;
    }
  }
}

/// One site's activations over the layers, and how well each dimension tells the categories apart.
void follow(study& s, const std::string& site, const std::vector<tensor_view<const float, 2>>& layers,
            const fs::path& data) {
  tensor<float, 4>& values = s.streams.emplace_back(
      std::array{layers.size(), s.report.texts.size(), s.report.positions.size(), layers[0].cols()});
  for (std::size_t l = 0; l < layers.size(); ++l) {
    std::copy_n(layers[l].data(), layers[l].size(), values.row(l).data());
  }
  const std::string file = "stream-" + site + ".npy";
  write_npy(data / file, values.view());
  const auto shown = [&](const std::vector<selective_dimension>& found) {
    std::vector<plot::report_dimension> result;
    for (const selective_dimension& each : found) {
      result.push_back({.dimension = each.dimension,
                        .layer = s.report.layers[each.layer],
                        .f = each.f,
                        .f_of_others = each.f_of_others,
                        .p = each.p});
    }
    return result;
  };
  const selective_dimensions found =
      find_selective_dimensions(layers, s.labels.text, s.labels.category, most_of_dimensions, seed);
  s.report.streams.push_back({.site = site,
                              .values = values,
                              .best = shown(found.best),
                              .best_by_layer = shown(found.by_layer),
                              .file = "data/" + file,
                              .level = found.level});
}

/// What the report says of the input.
plot::study_report describe_input(const program::app& app, const corpus& input, const architecture& shape) {
  plot::study_report report;
  report.model = fs::canonical(app.model).filename().string();
  report.facts = {
      {"architecture", describe(shape)},
      {"texts", std::to_string(input.tokens.size()) + ", each cut to " + std::to_string(app.length) + " tokens"},
      {"positions", app.positions}};
  report.layers = app.layers_of(shape.layers);
  report.positions = app.positions_of_length();
  report.sets = {{"all positions", {}}, {"position " + std::to_string(report.positions.back()), {}}};
  for (std::size_t t = 0; t < input.tokens.size(); ++t) {
    report.texts.push_back({input.category_name(t), input.texts[t].name, input.first_words(t), input.tokens[t].size()});
    for (const std::size_t p : report.positions) report.sets[0].vectors.push_back({t, p, input.token_text(t, p)});
    report.sets[1].vectors.push_back(report.sets[0].vectors.back());
  }
  if (report.positions.size() == 1) report.sets.erase(report.sets.begin());  // the two are one
  report.notes = {
      "attn_out is what attention adds to the residual stream, resid_post the stream after a layer. In scaled_cosine "
      "every vector is divided by the length of the layer's longest vector, so that two short vectors stay short. "
      "centred_cosine is the cosine of vectors less the mean of the layer's vectors; pca_cosine the same in the "
      "principal components that hold 90 % of the variance; whitened_cosine the same in coordinates in which all "
      "directions vary equally, by a covariance that is shrunk where there are few vectors. euclidean is a distance: "
      "small is alike. rbf is exp(-distance² / 2s²), s the median distance of the layer. p: the share of assignments "
      "of the category labels to the texts (every different one, or a random sample of them) for which the mean "
      "similarity within categories minus that between them is at least the real one; over all layers, sites and "
      "metrics the largest is compared, each in standard deviations. p of means: the same for the distances of the "
      "categories' mean vectors, weighted as Welch's t is. F: variance between the categories' means over variance "
      "within categories, of the texts' means. Texts must be independent documents."};
  return report;
}

/// The layers' vectors without what `--without` names; none if it names nothing.
std::deque<tensor<float, 2>> take_out(const std::vector<std::string>& what,
                                      const std::vector<tensor_view<const float, 2>>& layers,
                                      const std::vector<plot::report_vector>& vectors) {
  std::deque<tensor<float, 2>> result;
  std::vector<std::size_t> position;
  for (const plot::report_vector& each : vectors) position.push_back(each.position);
  for (std::size_t l = 0; l < layers.size() && !what.empty(); ++l) {
    tensor<float, 2>& left = result.emplace_back(what[0] == "mean" ? without_mean_direction(layers[l])
                                                                   : without_position(layers[l], position));
    for (std::size_t i = 1; i < what.size(); ++i) {
      left = what[i] == "mean" ? without_mean_direction(left) : without_position(left, position);
    }
  }
  return result;
}

/// Heads by their names, LAYER.HEAD, as indices into all of the chosen layers.
std::vector<std::size_t> heads_named(const std::vector<std::string>& names, const std::vector<std::size_t>& layers,
                                     std::size_t heads) {
  std::vector<std::size_t> result;
  for (const std::string& name : names) {
    const std::size_t dot = name.find('.');
    std::size_t layer = 0, head = 0;
    const bool read = dot != std::string::npos && program::read_number(name.substr(0, dot), layer).empty() &&
                      program::read_number(name.substr(dot + 1), head).empty();
    const auto place = std::ranges::find(layers, layer);
    if (!read || place == layers.end() || head >= heads) {
      throw bad_input{"", "--draw-heads", "LAYER.HEAD, a layer of --layers and a head below " + std::to_string(heads),
                      name};
    }
    result.push_back(static_cast<std::size_t>(place - layers.begin()) * heads + head);
  }
  return result;
}

/// All that is found of single heads: their z in `probe` compared, and what they attend to in the texts and in random
/// tokens that are repeated.
template <class Model, class Probe>
void single_heads(Model& opt, const corpus& input, const study& s, const Probe& probe,
                  const attention_behaviour& attention, const std::vector<std::string>& metric_names,
                  study_heads::results& all) {
  std::vector<tensor_view<const float, 3>> z;
  for (const std::size_t layer : all.layers) z.push_back(probe(site::z{}, layer));
  study_heads::keep(all, z);
  std::vector<named_metric> chosen;
  for (const std::string& name : metric_names) chosen.push_back(by_name(metrics(), name));
  study_heads::compare(all, chosen, s.labels, most_of_heads, seed, opt.backend().pool());

  const std::size_t room = (opt.shape().max_positions - 1) / 2;
  const token_batch repeated = repeated_random_tokens(repeats, std::min(repeated_tokens, room),
                                                      input.words ? input.words->size() : opt.shape().vocabulary,
                                                      input.bos().value_or(input.tokens[0][0]), seed);
  attention_behaviour of_repeated{repeated};
  of_repeated.only_layers(all.layers);
  Probe nothing;  // so that there is one type of run
  nothing.only_sites({});
  opt.run(repeated, nothing, of_repeated);
  all.repeats = repeats;
  all.repeated_tokens = (repeated[0].size() - 1) / 2;
  study_heads::attend(all, attention, s.labels.category, of_repeated, repeats, most_of_dimensions, seed);
}

/// Drops repeats.
template <class T>
void keep_first(std::vector<T>& list) {
  auto end = list.begin();
  for (auto item = list.begin(); item != list.end(); ++item) {
    if (std::find(list.begin(), end, *item) == end) std::iter_swap(end++, item);
  }
  list.erase(end, list.end());
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"study",
                   "Compares the attention outputs (attn_out) and decoder outputs (resid_post) of texts, layer by "
                   "layer: similarity matrices, blocks, streams. Texts must be independent documents. Writes "
                   "report.html, pictures/, data/ and summary.json.",
                   "--model examples/demo-model --texts examples/texts --out study-report"};
  app.length = 512;
  app.positions = "475:512:4";
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--device", "--out"});
  std::vector<std::string> chosen_metrics{cosine::name, scaled_cosine::name};
  std::vector<std::size_t> dimensions;
  bool heads = false;
  std::vector<std::string> drawn_heads, along;
  const std::vector<named_metric> known_metrics = metrics();
  std::vector<std::string> metric_names, left_out;
  for (const named_metric& each : known_metrics) metric_names.push_back(each.name);
  app.option("--metrics", &chosen_metrics, "Similarity metrics, separated by commas")
      .separated_by(',')
      .one_of(metric_names)
      .shown();
  app.option("--without", &left_out,
             "What is taken out of the vectors of a layer before they are compared, in this order, separated by "
             "commas: position is what all texts have in common at one position, mean the direction of the mean vector")
      .separated_by(',')
      .one_of({"position", "mean"});
  app.option("--dimensions", &dimensions,
             "Hidden dimensions to draw as streams; if not given, the three that tell the categories apart best")
      .separated_by(',');
  app.option("--heads", &heads,
             "Single heads, too: how alike their outputs z are, which separate the categories, and what they attend "
             "to. Writes heads.html, data/z-METRIC.npy and data/z-values.npy");
  const auto drawn = app.option("--draw-heads", &drawn_heads,
                                "With --heads, heads LAYER.HEAD to draw as pictures, similarity and values, separated "
                                "by commas; if not given, the two that tell the categories apart best")
                         .separated_by(',');

  app.option("--along", &along,
             "Directions to draw the stream along, separated by commas: pca, discriminants (directions that separate "
             "the categories), or an edits.json whose directions isolate removed. Says how well each separates texts "
             "that it was not fitted to")
      .type("LIST")
      .separated_by(',');

  return program::run_on_device(app, argc, argv, [&](auto backend) {
    keep_first(chosen_metrics);
    keep_first(left_out);
    keep_first(dimensions);
    keep_first(drawn_heads);
    keep_first(along);
    if (drawn.given() && !heads) throw program::wrong_usage{"--draw-heads", "needs --heads"};
    const corpus input = app.read_input(app.length);
    model<any_opt, float, decltype(backend)> opt{checkpoint{app.model}, backend};
    app.report(opt);
    app.check(input, opt.shape());
    study s{.report = describe_input(app, input, opt.shape()), .labels = {.text = {}, .category = input.category_of}};
    for (const std::string& each : left_out) s.report.facts.emplace_back("compared without", each);
    if (input.categories.size() > 1) app.survey(input, "p is too small", s.report.notes);
    for (const auto& vector : s.report.sets[0].vectors) {
      s.labels.text.push_back(vector.text);
      s.sources.position.push_back(vector.position);
      s.sources.token.push_back(static_cast<std::size_t>(input.tokens[vector.text][vector.position]));
    }
    s.sources.where = s.labels;
    if (s.sources.position.size() > most_vectors_of_fit) {
      s.report.notes.push_back("Diagonal plus low rank is not fitted for more than " +
                               std::to_string(most_vectors_of_fit) + " vectors; here there are " +
                               std::to_string(s.sources.position.size()) + ".");
    }
    for (const std::size_t d : dimensions) {
      if (d >= opt.shape().hidden) {
        throw bad_input{"", "--dimensions", "numbers below " + std::to_string(opt.shape().hidden), std::to_string(d)};
      }
    }
    std::vector<std::size_t> heads_drawn = heads_named(drawn_heads, s.report.layers, opt.shape().heads);
    std::map<std::string, removal> removals;
    for (const std::string& each : along) {
      if (each == "pca" || each == "discriminants") continue;
      removals[each] = read_removal(each, opt.shape(), fingerprint(opt.files()));
    }
    const fs::path data = app.make_folder("data");

    using probe_type = capture<site::attn_out, site::resid_post, site::z>;
    const std::vector<std::size_t> no_layers, &layers_of_heads = heads ? s.report.layers : no_layers;
    probe_type probe{positions::these(s.report.positions)};
    probe.only_layers(s.report.layers);
    if (!heads) probe.only_sites({"attn_out", "resid_post"});
    attention_behaviour attention{heads ? input.tokens : token_batch{}};
    attention.only_layers(layers_of_heads);
    {
      program::progress line{"layers"};
      opt.on_progress([&](std::size_t done, std::size_t total) { line(done, total); });
      opt.run(input.tokens, probe, attention);
      opt.on_progress({});
    }
    std::vector<std::string> names;
    std::vector<tensor_view<const float, 2>> streams_of_texts;
    std::vector<std::vector<tensor_view<const float, 2>>> all;  // [site][layer]: (vector, hidden)
    site_list<site::attn_out, site::resid_post>::for_each([&]<class Site>(Site site) {
      std::vector<tensor_view<const float, 2>> layers;
      for (const std::size_t layer : s.report.layers) layers.push_back(probe(site, layer));
      const std::string name{Site::name};
      const auto& changed = s.changed.emplace_back(take_out(left_out, layers, s.report.sets[0].vectors));
      std::vector<tensor_view<const float, 2>> compared = layers;
      if (!changed.empty()) compared.assign(changed.begin(), changed.end());
      for (const std::string& metric : chosen_metrics) {
        compare(s, name, by_name(known_metrics, metric), compared, data, opt.backend().pool());
      }
      follow(s, name, layers, data);
      if (name == "resid_post") streams_of_texts = layers;
      names.push_back(name);
      all.push_back(std::move(compared));
    });
    test(s, names, all);
    std::vector<std::pair<std::string, std::string>> more;
    std::vector<study_along::kind> directions;
    for (const std::string& each : along) {
      const study_along::streams from{
          .layers = streams_of_texts, .category = s.labels.category, .each = s.report.positions.size()};
      if (each == "pca" || each == "discriminants") {
        directions.push_back(study_along::fit(each, from, most_of_along, seed));
      } else {
        directions.push_back(study_along::removed(each, removals.at(each), s.report.layers, from, most_of_along, seed));
      }
      const study_along::kind& found = directions.back();
      if (found.values.size() > 0) write_npy(data / ("along-" + found.name + ".npy"), found.values.view());
    }
    if (!along.empty()) more.emplace_back("along", study_along::summary_of(directions, s.report.layers));
    std::vector<std::pair<std::string, std::size_t>> seeds{{"labellings", seed}};
    study_heads::results of_heads{.layers = s.report.layers};
    if (heads) {
      single_heads(opt, input, s, probe, attention, chosen_metrics, of_heads);
      study_heads::write_arrays(of_heads, data);
      write_file(app.out / "heads.html", study_heads::make_page(of_heads, s.report).html());
      more.emplace_back("heads", study_heads::summary_of(of_heads, s.report));
      seeds.emplace_back("random tokens", seed);
      if (heads_drawn.empty()) {
        const std::vector<std::size_t>& order = of_heads.metrics[0].order;
        heads_drawn.assign(order.begin(), order.begin() + std::min<std::ptrdiff_t>(2, std::ssize(order)));
      }
    }
    plot::write_summary(s.report, app.out / "summary.json", app.record(opt, input, std::move(seeds)), more);
    {
      program::progress line{"pictures"};
      plot::report page = plot::make_report(s.report, dimensions);
      if (!along.empty()) study_along::add(page, directions, s.report);
      if (heads) {
        std::vector<std::string> sentences = study_heads::findings(of_heads);
        sentences.push_back("All heads, and what is tested, are on the page heads.html.");
        page.notes("Single heads", sentences);
        study_heads::add_pictures(page, of_heads, s.report, heads_drawn);
      }
      page.write(app.out, opt.backend().pool(), [&](std::size_t done, std::size_t total) { line(done, total); });
    }
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

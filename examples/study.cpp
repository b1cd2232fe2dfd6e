// SPDX-License-Identifier: MIT
// The similarity study: how alike attention outputs and decoder outputs of different texts are, layer by layer.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/study_report.hpp>
#include <optscope/plot/study_summary.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/units/selectivity.hpp>

#include "program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

template <class Metric>
tensor<float, 2> measure(tensor_view<const float, 2> vectors) {
  return similarity<Metric>(vectors);
}
/// A metric of one's own needs one line here.
const std::map<std::string, tensor<float, 2> (*)(tensor_view<const float, 2>)> metrics{
    {cosine::name, measure<cosine>}, {scaled_cosine::name, measure<scaled_cosine>}};

/// The study's results; `report` refers to the tensors.
struct study {
  plot::study_report report;
  vector_labels labels;
  std::deque<tensor<float, 3>> matrices;  // (layer, vector, vector)
  std::deque<tensor<float, 4>> streams;   // (layer, text, position, hidden)

  /// Similarities of one site under one metric: of all vectors, and of the texts at the last position.
  template <class VectorsOf>
  void compare(const std::string& site, const std::string& metric, const VectorsOf& vectors_of, const fs::path& data,
               thread_pool& pool) {
    const std::size_t layers = report.layers.size(), texts = report.texts.size(), each = report.positions.size();
    tensor<float, 3>& all = matrices.emplace_back(std::array{layers, texts * each, texts * each});
    tensor<float, 3>& last = matrices.emplace_back(std::array{layers, texts, texts});
    std::vector<block_summary> blocks(layers);
    pool.parallel_for(layers, [&](std::size_t l, std::size_t) {
      const tensor<float, 2> matrix = metrics.at(metric)(vectors_of(report.layers[l]));
      std::copy_n(matrix.data(), matrix.size(), all.row(l).data());
      for (std::size_t i = 0; i < texts; ++i) {
        for (std::size_t j = 0; j < texts; ++j) last(l, i, j) = matrix((i + 1) * each - 1, (j + 1) * each - 1);
      }
      blocks[l] = similarity_blocks(matrix, labels);
    });
    plot::report_curves curves{site, metric};
    for (const block_summary& found : blocks) {
      curves.within_text.push_back(found.within_text);
      curves.within_category.push_back(found.within_category);
      curves.between_categories.push_back(found.between_categories);
      curves.p_value.push_back(found.labelings == 0 ? std::nan("") : found.p);
      curves.labelings = found.labelings;
      curves.exact = found.exact;
    }
    write_npy(data / (site + "-" + metric + ".npy"), all.view());
    write_npy(data / (site + "-" + metric + "-last.npy"), last.view());
    report.matrices.push_back({site, metric, report.sets[0].name, all});
    if (report.sets.size() > 1) report.matrices.push_back({site, metric, report.sets[1].name, last});
    report.curves.push_back(std::move(curves));
  }

  /// One site's activations over the layers, and how well each dimension tells the categories apart.
  template <class VectorsOf>
  void follow(const std::string& site, const VectorsOf& vectors_of, const fs::path& data) {
    const std::size_t layers = report.layers.size(), texts = report.texts.size(), each = report.positions.size();
    const std::size_t hidden = vectors_of(report.layers[0]).cols();
    tensor<float, 4>& values = streams.emplace_back(std::array{layers, texts, each, hidden});
    plot::report_streams result{site, values, {}, {}, "data/stream-" + site + ".npy"};
    std::vector<double> best(hidden, std::nan(""));
    std::vector<std::size_t> best_layer(hidden);
    for (std::size_t l = 0; l < layers; ++l) {
      const auto vectors = vectors_of(report.layers[l]);
      std::copy_n(vectors.data(), vectors.size(), values.row(l).data());
      const auto f = f_statistics(text_averages(vectors, labels.text, texts).view(), labels.category);
      for (const std::size_t d : largest(f, 10)) {
        if (!std::isnan(f[d])) result.best_by_layer.push_back({d, report.layers[l], f[d]});
      }
      for (std::size_t d = 0; d < hidden; ++d) {
        if (f[d] <= best[d] || std::isnan(f[d])) continue;
        best[d] = f[d];
        best_layer[d] = report.layers[l];
      }
    }
    for (const std::size_t d : largest(best, 64)) {
      if (!std::isnan(best[d])) result.best.push_back({d, best_layer[d], best[d]});
    }
    write_npy(data / ("stream-" + site + ".npy"), values.view());
    report.streams.push_back(std::move(result));
  }
};

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
      "attn_out is what attention adds to the residual stream, resid_post the stream behind a layer. In "
      "scaled_cosine every vector is divided by the length of the layer's longest, so that two short vectors "
      "stay short. p: the share of assignments of the category labels to the texts (every different one, or "
      "a random sample of them) whose mean similarity within minus between categories is at least the real "
      "one's. F: variance between the categories' means over variance within, of the texts' means."};
  return report;
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
                   "Compares attention outputs (attn_out) and decoder outputs (resid_post) of texts, layer by layer: "
                   "similarity matrices, blocks, streams. Writes report.html, pictures/, data/ and summary.json.",
                   "--model examples/demo-model --texts examples/texts --out study-report"};
  app.length = 512;
  app.positions = "475:512:4";
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--out"});
  std::vector<std::string> chosen_metrics{cosine::name, scaled_cosine::name};
  std::vector<std::size_t> dimensions;
  app.cli.add_option("--metrics", chosen_metrics, "Similarity metrics")
      ->check(CLI::IsMember(metrics))
      ->delimiter(',')
      ->capture_default_str();
  app.cli.add_option("--dimensions", dimensions, "Hidden dimensions to draw as streams; the three best if not given")
      ->delimiter(',');

  return app.run(argc, argv, [&] {
    keep_first(chosen_metrics);
    keep_first(dimensions);
    const corpus input = app.read_input(app.length);
    model<> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    app.check(input, opt.shape());
    study s{describe_input(app, input, opt.shape()), {{}, input.category_of}, {}, {}};
    for (const auto& vector : s.report.sets[0].vectors) s.labels.text.push_back(vector.text);
    for (const std::size_t d : dimensions) {
      if (d >= opt.shape().hidden) {
        throw bad_input{"", "--dimensions", "numbers below " + std::to_string(opt.shape().hidden), std::to_string(d)};
      }
    }
    const fs::path data = app.make_folder("data");

    capture<site::attn_out, site::resid_post> probe{positions::these(s.report.positions)};
    probe.only_layers(s.report.layers);
    {
      program::progress line{"layers"};
      opt.on_progress([&](std::size_t done, std::size_t total) { line(done, total); });
      opt.run(input.tokens, probe);
    }
    decltype(probe)::sites::for_each([&]<class Site>(Site site) {
      const auto vectors_of = [&](std::size_t layer) { return probe(site, layer); };
      for (const std::string& metric : chosen_metrics) {
        s.compare(std::string{Site::name}, metric, vectors_of, data, opt.backend().pool());
      }
      s.follow(std::string{Site::name}, vectors_of, data);
    });
    plot::write_summary(s.report, app.out / "summary.json");
    {
      program::progress line{"pictures"};
      plot::make_report(s.report, dimensions)
          .write(app.out, opt.backend().pool(), [&](std::size_t done, std::size_t total) { line(done, total); });
    }
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

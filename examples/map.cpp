// SPDX-License-Identifier: MIT
// Texts and positions as points in two or three dimensions, layer by layer: principal components or PHATE.
#include <iostream>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/reduction.hpp>
#include <optscope/similarity/blocks.hpp>

#include "compare_points.hpp"
#include "map_report.hpp"
#include "support/device.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t seed = 1;  // of exchanged labels and values, and of landmarks

/// One layer's map and how good it is.
maps::layer_map map_of(const activation_point& layer, const std::string& method, const phate_settings& settings,
                       thread_pool& pool) {
  maps::layer_map result{.name = layer.name};
  const std::size_t n = layer.vectors.rows();
  if (method == "pca") {
    const principal_components found = pca(layer.vectors, settings.dimensions);
    result.points = found.coordinates;
    result.flat = found.total_variance == 0;
    for (std::size_t k = 0; k < settings.dimensions; ++k) result.share += found.share(k);
    result.share_by_chance = share_by_chance(layer.vectors, settings.dimensions, seed);
    result.stress = stress_of_map(layer.vectors, result.points.view(), pool);
  } else {
    phate_map found = phate(layer.vectors, settings, pool);
    result.points = std::move(found.points);
    result.flat = found.flat;
    result.stress = found.stress;
    result.time = found.time;
    result.landmarks = found.landmarks;
    result.parts = found.parts;
    result.converged = found.converged;
  }
  const std::size_t neighbours = std::min<std::size_t>(5, (n - 1) / 2);
  if (neighbours > 0 && !result.flat) {
    result.trust = trustworthiness(layer.vectors, std::as_const(result.points).view(), neighbours, pool);
  }
  return result;
}

/// Axes have no direction of their own: each one's is that of the map before, as far as that can be told.
void turn_like(const tensor<double, 2>& before, tensor<double, 2>& points) {
  for (std::size_t c = 0; c < points.cols(); ++c) {
    double product = 0;
    for (std::size_t i = 0; i < points.rows(); ++i) product += before(i, c) * points(i, c);
    for (std::size_t i = 0; i < points.rows() && product < 0; ++i) points(i, c) = -points(i, c);
  }
}

/// Whether texts of one category are near each other in the maps, over all maps together.
void test_categories(maps::results& all, const vector_labels& labels) {
  std::vector<tensor<double, 2>> of_texts;
  for (const maps::layer_map& each : all.layers) of_texts.push_back(mean_distances(each.points, labels.text));
  const std::vector<block_summary> found =
      similarity_blocks(of_texts, labels.category, 20'000, seed, std::vector<bool>(of_texts.size(), true));
  for (std::size_t l = 0; l < found.size(); ++l) all.layers[l].blocks = found[l];
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"map",
                   "Shows texts and positions as points in two or three dimensions, layer by layer: by principal "
                   "components, or by PHATE, which puts points near each other if a random walk between neighbours "
                   "goes from one to the other. Says of each map how far to trust it, and whether texts of one "
                   "category lie together. Writes report.html, pictures/, data/ and summary.json.",
                   "--model examples/demo-model --texts examples/texts --length 64 --positions 1: --out map"};
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--device", "--out"});
  std::string method = "phate", site = "resid_post";
  phate_settings settings;
  app.option("--method", &method, "pca: principal components; phate").one_of({"pca", "phate"}).shown();
  app.option("--site", &site, "Site whose vectors are shown").one_of(compare::comparable_sites()).shown();
  app.option("--dimensions", &settings.dimensions, "Dimensions of the maps: 2 or 3").type("N").shown();
  const program::option neighbours =
      app.option("--neighbours", &settings.neighbours,
                 "With phate: how near is near; the distance to this many neighbours is a point's own scale")
          .type("N")
          .shown();
  const program::option steps =
      app.option("--steps", &settings.time,
                 "With phate: steps of the random walk; more of them show coarser structure. If not given, as many as "
                 "it takes until the entropy falls slowly, in each layer by itself")
          .type("N");

  return program::run_on_device(app, argc, argv, [&](auto backend) {
    if (settings.dimensions != 2 && settings.dimensions != 3) throw program::wrong_usage{"--dimensions", "2 or 3"};
    for (const program::option& each : {neighbours, steps}) {
      if (method != "phate" && each.given()) throw program::wrong_usage{each.name(), "only with --method phate"};
    }
    if (settings.neighbours == 0) throw program::wrong_usage{"--neighbours", "at least 1"};
    if (steps.given() && settings.time == 0) throw program::wrong_usage{"--steps", "at least 1"};
    const corpus input = app.read_input();
    model<any_opt, float, decltype(backend)> opt{checkpoint{app.model}, backend};
    app.report(opt);
    app.check(input, opt.shape());
    maps::results all{.model = fs::canonical(app.model).filename().string(), .method = method, .site = site};
    if (input.categories.size() > 1) app.survey(input, "p is too small", all.limits);
    const fs::path data = app.make_folder("data");

    compare::probe_type probe = compare::make_probe(app, {site}, false, app.layers_of(opt.layers()));
    {
      program::progress line{"layers"};
      opt.on_progress([&](std::size_t done, std::size_t total) { line(done, total); });
      opt.run(input.tokens, probe);
    }
    vector_labels labels{.text = {}, .category = input.category_of};
    for (std::size_t text = 0; text < input.size(); ++text) {
      if (input.texts.empty()) break;
      all.texts.push_back(
          {input.category_name(text), input.texts[text].name, input.first_words(text), input.tokens[text].size()});
      for (const std::size_t position : probe.positions_of(text)) {
        labels.text.push_back(text);
        all.vectors.push_back({text, position, input.token_text(text, position)});
      }
    }
    const std::size_t n = all.vectors.size();
    if (method == "phate" && n < settings.neighbours + 2) {
      throw bad_input{"", "--neighbours " + std::to_string(settings.neighbours),
                      "at least " + std::to_string(settings.neighbours + 2) + " vectors: more texts or --positions",
                      std::to_string(n)};
    }
    const compare::point_list layers = compare::points_of(probe, {site}, false);
    all.memory = method == "phate" ? phate_memory(n, layers.points[0].vectors.cols(), settings)
                                   : pca_memory(n, layers.points[0].vectors.cols());
    {
      program::progress line{"maps"};
      for (std::size_t l = 0; l < layers.points.size(); ++l) {
        line(l, layers.points.size());
        all.layers.push_back(map_of(layers.points[l], method, settings, opt.backend().pool()));
        if (l > 0) turn_like(all.layers[l - 1].points, all.layers[l].points);
      }
      line(layers.points.size(), layers.points.size());
    }
    test_categories(all, labels);
    all.facts = {{"architecture", describe(opt.shape())},
                 {"texts", std::to_string(input.size())},
                 {"vectors of each map", std::to_string(n)},
                 {"positions", app.positions},
                 {"memory for a map", "at most about " + std::to_string((all.memory >> 20) + 1) + " MiB"}};
    if (method == "phate") all.facts.emplace_back("neighbours", std::to_string(settings.neighbours));
    all.find_limits();

    const std::string file = method + "-" + site;
    tensor<float, 3> values{{all.layers.size(), n, settings.dimensions}};
    for (std::size_t l = 0; l < all.layers.size(); ++l) {
      const tensor<double, 2>& points = all.layers[l].points;
      std::transform(points.data(), points.data() + points.size(), values.row(l).begin(),
                     [](double value) { return static_cast<float>(value); });
    }
    write_npy(data / (file + ".npy"), values);
    write_file(app.out / "summary.json",
               maps::summary_of(all, app.record(opt, input, {{"landmarks and labels", seed}})));
    for (const std::string& limit : all.limits) std::cerr << "map: note: " << limit << '\n';
    maps::make_report(all).write(app.out, opt.backend().pool());
    for (const maps::layer_map& each : all.layers) std::cout << each.name << ": " << all.sentence_of(each) << '\n';
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

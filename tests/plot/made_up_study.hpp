// SPDX-License-Identifier: MIT
#pragma once
// The report of a made-up study.

#include <numeric>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/study_report.hpp>
#include <string>

#include "made_up.hpp"

namespace made_up {

struct study {
  optscope::tensor<float, 4> streams_a, streams_b;
  optscope::tensor<float, 3> matrices_a, matrices_b, last_a, last_b;
  optscope::plot::study_report report;

  explicit study(std::size_t hidden)
      : streams_a{streams(hidden)},
        streams_b{streams(hidden)},
        matrices_a{cosines(streams_a, false)},
        last_a{cosines(streams_a, true)} {
    for (std::size_t i = 0; i < streams_b.size(); ++i) streams_b.data()[i] = 3 * streams_b.data()[i] + 1;
    matrices_b = cosines(streams_b, false);
    last_b = cosines(streams_b, true);

    report.model = "demo-model (made-up numbers)";
    report.facts = {{"model", "demo-model"}, {"layers", "12"},           {"hidden size", std::to_string(hidden)},
                    {"heads", "6"},          {"tokens per text", "512"}, {"positions", "475, 479, … 511"}};
    const char* names[texts] = {"permit-form",      "harbour-water", "price-of-a-loaf", "night-migration",
                                "low-rank-updates", "calibration",   "curriculum",      "ring-log",
                                "fan-controller",   "span-cache"};
    const char* categories[3] = {"articles", "papers", "code"};
    for (std::size_t t = 0; t < texts; ++t)
      report.texts.push_back({.category = categories[category[t]],
                              .name = names[t],
                              .first_words = "The first words of its file …",
                              .tokens = 512});
    optscope::plot::report_vector_set all{.name = "all positions"}, last{.name = "last position"};
    for (std::size_t p = 0; p < positions; ++p) report.positions.push_back(475 + 4 * p);
    for (std::size_t t = 0; t < texts; ++t) {
      for (std::size_t p = 0; p < positions; ++p)
        all.vectors.push_back({.text = t, .position = report.positions[p], .token = p % 3 ? " the" : "\n"});
      last.vectors.push_back({.text = t, .position = 511, .token = " end"});
    }
    report.sets = {all, last};
    report.layers.resize(layers);
    std::iota(report.layers.begin(), report.layers.end(), std::size_t{0});
    for (const char* metric : {"cosine", "scaled_cosine"}) {
      const auto add = [&](const char* site, const std::string& set, const optscope::tensor<float, 3>& values) {
        report.matrices.push_back({.site = site, .metric = metric, .set = set, .values = values.view()});
      };
      add("attn_out", all.name, matrices_a);
      add("attn_out", last.name, last_a);
      add("resid_post", all.name, matrices_b);
      add("resid_post", last.name, last_b);
    }
    for (const char* site : {"attn_out", "resid_post"}) {
      optscope::plot::report_curves curves{.site = site, .metric = "cosine"};
      for (std::size_t l = 0; l < layers; ++l) {
        const double depth = static_cast<double>(l) / (layers - 1);
        curves.within_text.push_back(0.1 + 0.8 * depth);
        curves.within_category.push_back(0.05 + 0.7 * depth);
        curves.between_categories.push_back(0.02 + 0.4 * depth * depth);
        curves.p_value.push_back(l < 3 ? 0.31 - 0.1 * static_cast<double>(l) : 0.001);
      }
      curves.p_over_all = curves.p_value;
      curves.within_each.assign(3, curves.within_category);
      curves.labelings = 2100;
      curves.exact = true;
      report.curves.push_back(curves);
    }
    std::vector<optscope::plot::report_dimension> best;
    for (std::size_t d = 0; d < 40; ++d)
      best.push_back(
          {.dimension = (d * 37 + 17) % hidden, .layer = d % layers, .f = 400.0 / static_cast<double>(d + 1)});
    std::vector<optscope::plot::report_dimension> best_by_layer;
    for (std::size_t l = 0; l < layers; ++l)
      for (std::size_t d = 0; d < 5; ++d)
        best_by_layer.push_back(
            {.dimension = (7 * l + d) % hidden, .layer = l, .f = 50.0 / static_cast<double>(d + 1)});
    for (const std::string site : {"attn_out", "resid_post"}) {
      const auto& values = site == "attn_out" ? streams_a : streams_b;
      report.streams.push_back({.site = site,
                                .values = values.view(),
                                .best = best,
                                .best_by_layer = best_by_layer,
                                .file = "data/stream-" + site + ".npy"});
    }
    report.notes = {"The arrays of this page are in data/, the pictures in pictures/."};
  }
};

/// The page alone: drawing the pictures takes long.
inline void write_page(const optscope::plot::study_report& study, const std::filesystem::path& folder) {
  optscope::write_file(folder / "report.html", optscope::plot::make_report(study).html());
}

}  // namespace made_up

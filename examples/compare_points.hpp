// SPDX-License-Identifier: MIT
#pragma once
// The points of `compare` and `map`: from a run of a model, or from a file that `capture` wrote.
#include <algorithm>
#include <charconv>
#include <deque>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/site.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/similarity/points.hpp>
#include <string>
#include <vector>

#include "support/program.hpp"

namespace compare {

using namespace optscope;

template <class... Sites>
capture<Sites...> capture_of(site_list<Sites...>, const program::app& app) {
  return capture<Sites...>{positions{[&](std::size_t length) { return app.positions_of(length); }}};
}
using probe_type = decltype(capture_of(all_sites{}, std::declval<const program::app&>()));

/// A capture of the sites and heads that are asked for.
inline probe_type make_probe(const program::app& app, std::vector<std::string> sites, bool heads,
                             std::vector<std::size_t> layers) {
  probe_type probe = capture_of(all_sites{}, app);
  if (heads) sites.emplace_back("z");
  probe.only_sites(std::move(sites)).only_layers(std::move(layers));
  return probe;
}

/// Points, and the vectors that they refer to.
struct point_list {
  std::vector<activation_point> points{};
  std::deque<tensor<float, 2>> memory{};

  /// Adds a copy of rows (vector, width).
  void add(std::string name, tensor_view<const float, 2> rows) {
    tensor<float, 2>& copy = memory.emplace_back(rows.shape());
    for (std::size_t i = 0; i < rows.rows(); ++i) std::ranges::copy(rows.row(i), copy.row(i).begin());
    points.push_back({.name = std::move(name), .vectors = copy.view()});
  }
  /// Adds what is kept of a layer and site: (vector, width, 1) or (vector, head, width), of heads each for itself.
  void add(const std::string& name, tensor_view<const float, 3> rows, bool heads) {
    if (!heads) return add(name, rows.reshape(std::array{rows.rows(), rows.cols()}));
    for (std::size_t h = 0; h < rows.extent(1); ++h) add(name + "." + std::to_string(h), head_of(rows, h));
  }
};

/// Sites whose vectors can be compared: one for each position, wider than one number.
inline std::vector<std::string> comparable_sites() {
  std::vector<std::string> names;
  for (const site_info* each : all_sites::infos) {
    if (each->layout() == site_layout::position && each->axes[1] != axis::none) names.emplace_back(each->name);
  }
  return names;
}

/// Points `SITE.LAYER`, and `z.LAYER.HEAD` with `heads`, of a model that has run with `probe`.
template <class Capture>
point_list points_of(const Capture& probe, const std::vector<std::string>& sites, bool heads) {
  const auto& kept = probe.storage();
  point_list result;
  const auto add = [&](const std::string& site, bool each_head) {
    for (std::size_t s = 0; s < kept.sites().size(); ++s) {
      if (kept.sites()[s]->name != site) continue;
      for (std::size_t layer = 0; layer < kept.layers(s); ++layer) {
        if (!kept.keeps(s, layer)) continue;
        result.add(site + (kept.sites()[s]->per_layer() ? "." + std::to_string(layer) : ""), kept.all_texts(s, layer),
                   each_head);
      }
    }
  };
  for (const std::string& site : sites) add(site, false);
  if (heads) add("z", true);
  return result;
}

/// The same points, of any layers, from tensors `TEXT.SITE.LAYER` of a file; `rows` [text] are the vectors that each
/// text has in the first model. Throws `bad_input` if the file has no such site, or other texts or positions.
inline point_list read_points(const std::filesystem::path& file, const std::vector<std::string>& sites, bool heads,
                              const std::vector<std::size_t>& rows) {
  const tensor_table table = read_safetensors(file);
  point_list result;
  const std::string last_text = std::to_string(rows.size()) + ".";
  for (const auto& [name, unused] : table.tensors) {
    if (name.rfind(last_text, 0) == 0) {
      throw bad_input{file.string(), name, std::to_string(rows.size()) + " texts, as the first model has",
                      "at least " + std::to_string(rows.size() + 1)};
    }
  }
  const auto add = [&](const std::string& site, bool each_head) {
    std::vector<std::pair<std::size_t, std::string>> places;  // layer, name
    for (const auto& [name, unused] : table.tensors) {
      if (name.rfind("0." + site, 0) != 0) continue;
      const std::string rest = name.substr(2 + site.size());
      std::size_t layer = 0;
      const auto [end, status] =
          std::from_chars(rest.data() + std::min<std::size_t>(1, rest.size()), rest.data() + rest.size(), layer);
      const bool numbered = status == std::errc{} && end == rest.data() + rest.size() && rest[0] == '.';
      if (rest.empty() || numbered) places.emplace_back(layer, name.substr(2));
    }
    if (places.empty()) throw bad_input{file.string(), "0." + site, "a tensor of this site", "none"};
    std::ranges::sort(places);
    for (const auto& [layer, place] : places) {
      tensor<float, 3> all;
      std::size_t first = 0, total = 0;
      for (const std::size_t each : rows) total += each;
      for (std::size_t text = 0; text < rows.size(); ++text) {
        const std::string name = std::to_string(text) + "." + place;
        const auto found = table.tensors.find(name);
        if (found == table.tensors.end()) {
          throw bad_input{file.string(), name, std::to_string(rows.size()) + " texts, as the first model has",
                          "no such tensor"};
        }
        const std::vector<std::size_t>& shape = found->second.shape();
        if (shape.size() < 2 || shape[0] != rows[text]) {
          throw bad_input{file.string(), name, std::to_string(rows[text]) + " positions, as in the first model",
                          shape.empty() ? "none" : std::to_string(shape[0])};
        }
        if (text == 0) all = tensor<float, 3>{{total, shape[1], shape.size() > 2 ? shape[2] : 1}};
        if (found->second.row_size() != all.view().cols()) {
          throw bad_input{file.string(), name,
                          "vectors as wide as the first text's, " + std::to_string(all.view().cols()),
                          std::to_string(found->second.row_size())};
        }
        found->second.copy_to(all.data() + first * all.view().cols());
        first += rows[text];
      }
      result.add(place, std::as_const(all).view(), each_head);
    }
  };
  for (const std::string& site : sites) add(site, false);
  if (heads) add("z", true);
  return result;
}

}  // namespace compare

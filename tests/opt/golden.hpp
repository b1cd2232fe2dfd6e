// SPDX-License-Identifier: MIT
#pragma once
// Activations that transformers computed in float64, and the comparison of every site with them.

#include <doctest/doctest.h>

#include <algorithm>
#include <compare.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/hidden_states.hpp>
#include <optscope/opt/identities.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <utility>
#include <vector>

/// golden.safetensors of a folder: `TEXT.SITE.LAYER` at `TEXT.positions`, `TEXT.ids`, `TEXT.hidden_states.N`.
struct golden_file {
  optscope::tensor_table table;
  explicit golden_file(const std::string& folder) : table{optscope::read_safetensors(folder + "/golden.safetensors")} {}

  [[nodiscard]] bool has(const std::string& key) const { return table.tensors.count(key) != 0; }
  [[nodiscard]] std::vector<double> at(const std::string& key) const {
    const optscope::stored_tensor& stored = table.tensors.at(key);
    std::vector<double> values(stored.size());
    stored.copy_to(values.data());
    return values;
  }
  [[nodiscard]] optscope::token_batch texts() const {
    optscope::token_batch texts;
    for (std::size_t i = 0; has(std::to_string(i) + ".ids"); ++i) {
      const std::vector<double> ids = at(std::to_string(i) + ".ids");
      texts.emplace_back(ids.begin(), ids.end());
    }
    return texts;
  }
};

/// A capture of every site that the model has.
template <class Scalar, class... Sites>
optscope::basic_capture<Scalar, Sites...> make_capture(optscope::site_list<Sites...>,
                                                       const optscope::architecture& shape) {
  std::vector<std::string> names;
  ((Sites::exists(shape) ? names.emplace_back(Sites::name) : names.emplace_back()), ...);
  optscope::basic_capture<Scalar, Sites...> probe{optscope::positions::all()};
  return probe.only_sites(names);
}

/// Rows of a captured site at the golden's positions, as the golden lays them out.
template <class Scalar, std::size_t Rank>
std::vector<Scalar> rows_at(optscope::tensor_view<const Scalar, Rank> view, const std::vector<double>& positions,
                            bool by_head) {
  std::vector<Scalar> rows;
  for (std::size_t head = 0; head < (by_head ? view.rows() : 1); ++head) {
    const std::size_t width = by_head ? view.extent(Rank - 1) : view.cols();
    for (const double position : positions) {
      const Scalar* row =
          view.row(head).data() + static_cast<std::size_t>(position) * (by_head ? width : view.stride());
      rows.insert(rows.end(), row, row + width);
    }
  }
  return rows;
}

/// Runs all texts of a golden in one batch and compares every site that it has, transformers' hidden_states, and what
/// must add up in the residual stream. Gives the worst error relative to the largest element.
template <class Scalar, class Backend = optscope::cpu>
double compare_with_transformers(const std::string& folder, const std::string& golden_folder, double tolerance,
                                 Backend backend = Backend{}) {
  using namespace optscope;
  const golden_file golden{golden_folder};
  model<any_opt, Scalar, Backend> opt{checkpoint{folder}, std::move(backend)};
  const token_batch texts = golden.texts();
  auto probe = make_capture<Scalar>(all_sites{}, opt.shape());
  hidden_states states{opt};
  residual_identities<Scalar> identities{opt};
  opt.run(texts, probe, states, identities);
  CHECK(identities.attention() <= tolerance);
  CHECK(identities.mlp() <= tolerance);
  CHECK(identities.heads() <= tolerance);
  CHECK(identities.contributions() <= tolerance);

  std::size_t compared = 0;
  double worst = 0;
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const std::string prefix = std::to_string(text) + ".";
    const std::vector<double> positions = golden.at(prefix + "positions");
    const auto compare = [&](const std::string& key, auto view, bool by_head) {
      if (!golden.has(prefix + key)) return;
      const std::vector<Scalar> found = rows_at(view, positions, by_head);
      worst = std::max(
          worst, check_close<Scalar, double>(found, golden.at(prefix + key), tolerance, folder + " " + prefix + key));
      ++compared;
    };
    decltype(probe)::sites::for_each([&]<class Site>(Site site) {
      if (!Site::exists(opt.shape())) return;
      for (std::size_t layer = 0; layer < (Site::per_layer ? opt.layers() : 1); ++layer) {
        compare(std::string{Site::name} + (Site::per_layer ? "." + std::to_string(layer) : std::string{}),
                probe(site, layer, text), Site::layout == site_layout::head);
      }
    });
    for (std::size_t i = 0; i < states.size(); ++i) {
      compare("hidden_states." + std::to_string(i), states(i, text), false);
    }
  }
  CHECK_EQ(compared, golden.table.tensors.size() - 2 * texts.size());  // all of it but ids and positions
  return worst;
}

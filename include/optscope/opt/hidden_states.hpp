// SPDX-License-Identifier: MIT
#pragma once
// The residual stream as transformers gives it with `output_hidden_states=True`.

#include <algorithm>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/model.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A probe that keeps transformers' `hidden_states`: `layers + 1` matrices per text. Number 0 is the sum of embedding
/// and position embedding, number i the output of layer i - 1. The last one is the last layer's output after the final
/// LayerNorm and `project_out`, embed_dim wide.
///
///     model<> opt{checkpoint{argv[1]}};
///     hidden_states states{opt};
///     opt.run(texts, states);
///     tensor_view<const float, 2> third = states(3, 0);  // (position, hidden) of text 0
///
/// If editors come before it in a run, it sees what they leave. Memory: (layers + 1) x positions x hidden scalars.
template <class Model>
class hidden_states {
 public:
  using scalar = typename Model::scalar;
  using sites = site_list<site::resid_pre, site::resid_post>;

  explicit hidden_states(Model& opt) : opt_{opt}, states_(opt.layers() + 1) {}

  [[nodiscard]] bool wants(site::resid_pre, std::size_t) const { return true; }
  [[nodiscard]] bool wants(site::resid_post, std::size_t layer) const { return layer + 1 == opt_.layers(); }

  void begin(const run_plan& plan) {
    for (auto& texts : states_) texts.assign(plan.lengths.size(), {});
  }
  void operator()(site::resid_pre, const place& at, tensor_view<const scalar, 2> stream) {
    tensor<scalar, 2>& kept = states_[at.layer][at.text];
    kept = tensor<scalar, 2>{stream.shape()};
    for (std::size_t row = 0; row < stream.rows(); ++row) std::ranges::copy(stream.row(row), kept.row(row).data());
  }
  void operator()(site::resid_post, const place& at, tensor_view<const scalar, 2> stream) {
    states_.back()[at.text] = opt_.last_hidden_state(stream);
  }

  [[nodiscard]] std::size_t size() const noexcept { return states_.size(); }  ///< layers + 1

  /// Number `index` of a text, from the last run: (position, hidden); of the last number (position, embed_dim). Throws
  /// `bad_input` for a number or text that there is not, and before the first run.
  [[nodiscard]] tensor_view<const scalar, 2> operator()(std::size_t index, std::size_t text) const {
    const std::size_t texts = states_[0].size();
    if (texts == 0) throw bad_input{"", "hidden_states", "a run before they are read", "none"};
    if (index >= size()) {
      throw bad_input{"", "hidden_states", "a number below " + std::to_string(size()), std::to_string(index)};
    }
    if (text >= texts) {
      throw bad_input{"", "hidden_states", "a text below " + std::to_string(texts), std::to_string(text)};
    }
    return states_[index][text].view();
  }

 private:
  Model& opt_;
  std::vector<std::vector<tensor<scalar, 2>>> states_;  // [index][text]
};

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// Where each text's activations lie in the file of a sink, and how far it is; without the types of sites and writer.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/probe/capture_storage.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope::detail {

/// The texts of a sink: which tensors of a capture each has, where they end in the data, and which text comes next.
class sink_plan {
 public:
  struct item {
    std::string name;
    std::vector<std::size_t> shape;
  };

  sink_plan(const architecture& shape, std::vector<std::size_t> lengths)
      : shape_{shape}, lengths_{std::move(lengths)} {}

  /// All tensors of the file, text by text. Throws `bad_input` as the capture does.
  [[nodiscard]] std::vector<item> items(const capture_storage<float>& what);
  /// Continues after the last text that is whole in this many bytes of data; gives the bytes up to there.
  std::size_t resume_after(std::size_t bytes);

  [[nodiscard]] std::size_t next_text() const noexcept { return next_; }
  [[nodiscard]] std::size_t next_batch(std::size_t most_bytes) const;
  /// Throws `bad_input` if the run is not of the next texts, whole.
  void check(const run_plan& plan) const;
  void advance(std::size_t texts) noexcept { next_ += texts; }

  /// Calls `action(site, layer)` for the tensors of a text, in the order of the file.
  template <class Action>
  void for_each_tensor(const capture_storage<float>& what, Action&& action) const {
    for (std::size_t site = 0; site < what.sites().size(); ++site) {
      const std::size_t layers = what.sites()[site]->per_layer() ? shape_.layers : 1;
      for (std::size_t layer = 0; layer < layers; ++layer) {
        if (what.wants(site, layer)) action(site, layer);
      }
    }
  }

 private:
  architecture shape_;
  std::vector<std::size_t> lengths_;  // [text]: tokens
  std::vector<std::size_t> ends_;     // [text]: bytes of data up to its end
  std::size_t next_ = 0;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/sink_plan.ipp>
#endif

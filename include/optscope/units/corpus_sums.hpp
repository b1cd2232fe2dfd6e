// SPDX-License-Identifier: MIT
#pragma once
// The activity of every unit over a large corpus, in a run that can be stopped and resumed.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/saved_sums.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/unit_sums.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// How a long run over texts is saved, and what is told of it.
struct resumable_run {
  std::string state;        ///< file of the sums so far
  std::string fingerprint;  ///< which run they belong to: model, texts, options
  std::size_t length = 0;   ///< tokens that each text is cut to, BOS not counted; 0: no cut (`equal_length`)
  /// Called after each batch with the texts done and all texts. The run is saved and ends if it returns false.
  std::function<bool(std::size_t, std::size_t)> go_on = [](std::size_t, std::size_t) { return true; };
};

namespace detail {

/// Windows that are run together, and the place to resume from after them.
struct sums_batch {
  token_batch tokens{};
  std::vector<text_part> parts{};
  std::size_t size = 0;  // tokens
};

/// The windows of one text, each with where it belongs. Throws `bad_input` for an empty text.
[[nodiscard]] std::vector<std::pair<token_list, text_part>> parts_of_text(const corpus& all, std::size_t text,
                                                                          const text_groups& groups,
                                                                          std::size_t max_positions,
                                                                          std::size_t length = 0);

}  // namespace detail

/// Reads and runs the texts of a corpus that was found (`find_corpus`), one after the other, from where a run that was
/// stopped left off, and adds them to `sums`. A text longer than the model's context is cut into windows. Saves the
/// sums every minute. Returns the number of texts that are done: all of them unless `go_on` returned false.
template <class Model>
[[nodiscard]] std::size_t sum_up_corpus(Model& opt, const corpus& all, const text_groups& groups, unit_sums& sums,
                                        const resumable_run& run) {
  constexpr std::size_t batch_tokens = 8192;
  constexpr auto save_every = std::chrono::seconds{60};
  run_place next = load_sums(run.state, run.fingerprint, sums);
  detail::sums_batch batch;
  auto saved = std::chrono::steady_clock::now();
  bool going_on = true;

  const auto flush = [&](const run_place& after) {
    if (!batch.tokens.empty()) {
      sums.expect(std::move(batch.parts));
      opt.run(batch.tokens, sums);
    }
    batch = {};
    next = after;
    going_on = run.go_on(next.text, all.size());
    const auto now = std::chrono::steady_clock::now();
    if (going_on && now - saved < save_every) return;
    save_sums(run.state, run.fingerprint, next, sums);
    saved = now;
  };
  for (std::size_t t = next.text; t < all.size(); ++t) {
    auto windows = detail::parts_of_text(all, t, groups, opt.shape().max_positions, run.length);
    for (std::size_t w = t == next.text ? next.window : 0; w < windows.size(); ++w) {
      if (batch.size + windows[w].first.size() > batch_tokens) flush({.text = t, .window = w});
      if (!going_on) return next.text;
      batch.size += windows[w].first.size();
      batch.parts.push_back(windows[w].second);
      batch.tokens.push_back(std::move(windows[w].first));
    }
  }
  flush({.text = all.size(), .window = 0});
  save_sums(run.state, run.fingerprint, next, sums);
  return all.size();
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/corpus_sums.ipp>
#endif

// SPDX-License-Identifier: MIT
#pragma once
// The texts of `light_up`: run once, in order, with a state by which a stopped run goes on.
#include <chrono>
#include <cmath>
#include <csignal>
#include <map>
#include <optscope/corpus/windows.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/saved_sums.hpp>
#include <optscope/units/token_controls.hpp>
#include <optscope/units/unit_sums.hpp>

#include "program.hpp"

namespace light_up {

using namespace optscope;
namespace fs = std::filesystem;

inline volatile std::sig_atomic_t interrupted = 0;

struct settings {
  unit_statistic by = unit_statistic::mean_abs;
  std::size_t top = 8;              // neurons of each category that are looked at
  std::size_t look_tokens = 20000;  // tokens of each category in which they are
};

/// What a run has found, for the outputs.
struct findings {
  std::string model_name, architecture_text;
  corpus texts;
  text_groups groups;
  unit_sums sums;
  std::map<unit_statistic, unit_effects> effects;
  std::vector<std::string> limits;

  struct looked_at {
    unit what;
    std::size_t category;
    token_controls controls;
    std::vector<std::pair<std::string, std::pair<double, std::string>>> contexts;  // which, value, text
  };
  std::vector<looked_at> neurons;

  [[nodiscard]] double mean(std::size_t c, unit_statistic statistic, std::size_t u) const {
    return sums.sum(c, statistic)[u] / static_cast<double>(groups.texts(c));
  }
  [[nodiscard]] double deviation(std::size_t c, std::size_t u) const {
    const double m = mean(c, unit_statistic::mean, u);
    return std::sqrt(std::max(0.0, sums.mean_squares(c)[u] / static_cast<double>(groups.texts(c)) - m * m));
  }
};

/// Runs all texts through the model, from where a run that was stopped has left off.
template <class Model>
void add_up(Model& opt, const program::app& app, const tokenizer& words, const std::string& run, findings& found) {
  constexpr std::size_t batch_tokens = 8192;
  constexpr auto save_every = std::chrono::seconds{60};
  const fs::path file = app.out / "state";
  const corpus& all = found.texts;
  run_place next = load_sums(file, run, found.sums), in_batch;
  token_batch batch;
  std::vector<text_part> parts;
  std::size_t size = 0;
  auto saved = std::chrono::steady_clock::now();
  program::progress line{"texts"};

  const auto flush = [&] {
    if (!batch.empty()) {
      found.sums.expect(std::move(parts));
      opt.run(batch, found.sums);
    }
    batch.clear();
    parts.clear();
    size = 0;
    next = in_batch;
    line(next.text, all.size());
    const auto now = std::chrono::steady_clock::now();
    if (interrupted != 0 || now - saved > save_every) {
      save_sums(file, run, next, found.sums);
      saved = now;
    }
    if (interrupted != 0) {
      throw error{"stopped after " + std::to_string(next.text) + " of " + std::to_string(all.size()) +
                  " texts; the same command goes on from there"};
    }
  };
  for (std::size_t t = next.text; t < all.size(); ++t) {
    const token_list tokens = all.read(t);
    const std::vector<window> windows = windows_of(tokens, opt.shape().max_positions, words.bos());
    if (windows.empty()) all.refuse(t, "", "a text", "nothing in it");
    const std::size_t own = tokens.size() - windows[0].skip;
    for (std::size_t w = t == next.text ? next.window : 0; w < windows.size(); ++w) {
      if (size + windows[w].tokens.size() > batch_tokens) {
        in_batch = {t, w};
        flush();
      }
      const bool last = w + 1 == windows.size();
      const std::size_t c = all.category_of[t];
      parts.push_back({c, found.groups.of(c, all.index_in_category(t)), own, windows[w].skip, last});
      size += windows[w].tokens.size();
      batch.push_back(windows[w].tokens);
    }
  }
  in_batch = {all.size(), 0};
  flush();
  save_sums(file, run, next, found.sums);  // until the outputs are there
}

}  // namespace light_up

// SPDX-License-Identifier: MIT
#pragma once
// Measures what a removal does: held-out loss of every category, and what continuations of prompts are judged to be.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/repetition.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// What is measured of every removal, and how.
struct measurement {
  corpus held_out{};                   ///< whose loss is measured
  std::vector<std::size_t> text_of{};  ///< [text of held_out]: of which it is a window; empty: each is whole
  corpus prompts{};                    ///< that are continued
  /// How prompts are continued; prompt i draws from seed `wanted.how.seed` + i.
  generation wanted{.new_tokens = 40,
                    .how = {.temperature = 0.8, .top_p = 0.9, .seed = 1},
                    .seed_step = 1,
                    .stop = {},
                    .enough_every = 8};
  /// A continuation of at least 16 tokens that is no loop so far ends when the judge gives one category this
  /// probability; 1: it never does.
  double sure = 1;
  std::function<std::string(const token_list&)> decode{};  ///< tokens to text; called by several threads
  /// Counts as `behaviour::passing` the continuations that are no loop and for which it is true, for example
  /// `has_code_structure`.
  std::function<bool(std::string_view)> check{};
};

/// Measures removals on a model whose weights are `pruned_weights`, side by side on copies of it. Directions of the
/// stream are edited.
///
///     side_by_side<Model> copies{opt};
///     const ngram_judge judge{texts_to_train_on};
///     removal_bench bench{opt, copies, judge};
///     bench.what = {.held_out = ..., .prompts = ..., .decode = ...};
///     const behaviour whole = bench.measure({}), without = bench.measure(read_removal(file, opt.shape(), print));
template <class Model, text_judge Judge = ngram_judge>
class removal_bench {
 public:
  removal_bench(Model& opt, side_by_side<Model>& copies, const Judge& judge)
      : opt_{opt}, copies_{copies}, judge_{judge} {}

  measurement what{};

  [[nodiscard]] const Judge& judge() const noexcept { return judge_; }
  /// The category of a text, or the number of categories: it is a loop, or the judge says that it is of none.
  [[nodiscard]] std::size_t class_of(const token_list& text) const {
    return is_loop(text) ? judge_.categories() : most_probable(judge_.probabilities(what.decode(text)));
  }

  /// The behaviour without `removed`; an empty removal gives the whole model's.
  [[nodiscard]] behaviour measure(const removal& removed) { return measure_on(opt_, removed, what.prompts, nullptr); }
  /// The behaviour without each of several removals, measured side by side. Prompts of the category `skipped` are not
  /// continued; layers below the first that a removal changes are not run again. `done()` is called after each removal,
  /// by one thread at a time.
  [[nodiscard]] std::vector<behaviour> measure_all(const std::vector<removal>& removals,
                                                   std::optional<std::size_t> skipped,
                                                   const std::function<void()>& done) {
    const corpus prompts = skipped ? without_category(what.prompts, *skipped) : what.prompts;
    const unchanged below = run_below(removals, prompts);
    std::vector<behaviour> result(removals.size());
    std::mutex one_at_a_time;
    copies_(removals.size(), [&](std::size_t i, std::size_t copy) {
      result[i] = measure_on(copies_[copy], removals[i], prompts, &below);
      const std::lock_guard lock{one_at_a_time};
      done();
    });
    return result;
  }
  /// Continuations alone, of any prompts.
  [[nodiscard]] behaviour measure_prompts(const removal& removed, const corpus& prompts) {
    opt_.weights().remove(removed, opt_.backend().pool());
    direction_edits directions = direction_edits_of(removed);
    behaviour result;
    write(opt_, result, prompts, {}, directions);
    return result;
  }
  /// The behaviour of the whole model with editors.
  template <class... Editors>
  [[nodiscard]] behaviour measure_edited(Editors&... editors) {
    opt_.weights().remove({}, opt_.backend().pool());
    behaviour result;
    measure_loss(opt_, result, {}, editors...);
    write(opt_, result, what.prompts, {}, editors...);
    return result;
  }

 private:
  using scalar = typename Model::scalar;

  /// What the whole model computes below the layers at which removals begin.
  struct unchanged {
    capture<site::resid_pre> held_out{positions::all()}, prompts{positions::all()};
    kv_cache<scalar> cache;  // of the prompts
  };
  /// From which layer on a model is run; null: from the embedding on.
  struct beginning {
    const unchanged* below = nullptr;
    std::size_t layer = 0;
  };

  /// The first layer that is not the whole model's; 0 if all are.
  static std::size_t first_changed(const removal& removed) {
    for (std::size_t layer = 0; layer < removed.layers.size(); ++layer) {
      if (!removed.layers[layer].empty()) return layer;
    }
    return 0;
  }

  unchanged run_below(const std::vector<removal>& removals, const corpus& prompts) {
    std::vector<std::size_t> layers;
    for (const removal& each : removals) {
      if (const std::size_t first = first_changed(each); first > 0) layers.push_back(first);
    }
    unchanged below;
    if (layers.empty() || prompts.tokens.empty()) return below;
    opt_.weights().remove({}, opt_.backend().pool());
    opt_.run(what.held_out.tokens, below.held_out.only_layers(layers));
    opt_.run(prompts.tokens, below.cache, below.prompts.only_layers(layers));
    return below;
  }

  behaviour measure_on(Model& model, const removal& removed, const corpus& prompts, const unchanged* below) const {
    model.weights().remove(removed, model.backend().pool());
    direction_edits directions = direction_edits_of(removed);
    const std::size_t first = first_changed(removed);
    beginning begin;
    if (below != nullptr && below->cache.texts() != 0 && first > 0) begin = {.below = below, .layer = first};
    behaviour result;
    measure_loss(model, result, begin, directions);
    write(model, result, prompts, begin, directions);
    return result;
  }

  template <class... Editors>
  void measure_loss(Model& model, behaviour& result, const beginning& begin, Editors&... editors) const {
    next_token_loss loss{what.held_out.tokens};
    if (begin.below == nullptr) {
      model.run(what.held_out.tokens, editors..., loss);
    } else {
      model.run_from(begin.layer, begin.below->held_out(site::resid_pre{}, begin.layer), what.held_out.tokens,
                     editors..., loss);
    }
    for (std::size_t c = 0; c < judge_.categories(); ++c) {
      result.loss.push_back(loss.mean([&](std::size_t t) { return what.held_out.category_of[t] == c; }));
    }
    std::size_t last = 0;
    for (std::size_t t = 0; t < what.held_out.tokens.size(); ++t) {
      const std::size_t text = what.text_of.empty() ? t : what.text_of[t];
      if (t == 0 || text != last) result.of_texts.push_back({.category = what.held_out.category_of[t]});
      last = text;
      result.of_texts.back().nats += loss.nats(t);
      result.of_texts.back().tokens += what.held_out.tokens[t].size() - 1;
    }
  }

  template <class... Editors>
  void write(Model& model, behaviour& result, const corpus& prompts, const beginning& begin,
             Editors&... editors) const {
    const token_batch ids = begin.below == nullptr
                                ? generate(model, prompts.tokens, wanted(), editors...)
                                : generate_from(begin.layer, begin.below->prompts(site::resid_pre{}, begin.layer),
                                                begin.below->cache, model, prompts.tokens, wanted(), editors...);
    const std::size_t categories = judge_.categories();
    result.judged.assign(categories, std::vector<std::size_t>(categories + 1));
    result.passing.assign(categories, 0);
    result.loops.assign(categories, 0);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string text = what.decode(ids[i]);
      const std::size_t c = prompts.category_of[i];
      const bool loop = is_loop(ids[i]);
      result.written_is.push_back(loop ? categories : most_probable(judge_.probabilities(text)));
      ++result.judged[c][result.written_is.back()];
      result.loops[c] += loop;
      if (what.check) result.passing[c] += !loop && what.check(text);
      result.written.push_back(text);
    }
  }

  /// How prompts are continued: a continuation may end when the judge is sure.
  [[nodiscard]] generation wanted() const {
    generation result = what.wanted;
    if (what.sure >= 1) return result;
    result.enough = [&](const token_list& so_far) {
      constexpr std::size_t shortest = 16;
      if (so_far.size() < shortest || is_loop(so_far)) return false;
      const std::vector<double> p = judge_.probabilities(what.decode(so_far));
      return *std::max_element(p.begin(), p.end() - 1) >= what.sure;
    };
    return result;
  }

  Model& opt_;
  side_by_side<Model>& copies_;
  const Judge& judge_;
};

}  // namespace optscope

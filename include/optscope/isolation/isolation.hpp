// SPDX-License-Identifier: MIT
#pragma once
// Measures what a removal does: held-back loss of every category, and what continuations of prompts are judged to be.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optscope/core/tokens.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/probe/capture.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Texts of several categories, each with its category.
struct labelled_texts {
  token_batch tokens;
  std::vector<std::size_t> category;  // [text]

  void add(token_list text, std::size_t of) {
    tokens.push_back(std::move(text));
    category.push_back(of);
  }
};

/// What a model does.
struct behaviour {
  std::vector<double> loss;                      ///< [category]: nats a token of held-back texts
  std::vector<std::vector<std::size_t>> judged;  ///< [category of the prompt][category of the continuation]: how many
  std::vector<std::size_t> code_like;            ///< [category of the prompt]: continuations with the structure of code
  std::vector<std::string> written;              ///< [prompt]

  [[nodiscard]] std::size_t prompts(std::size_t of) const {
    std::size_t count = 0;
    for (const std::size_t each : judged[of]) count += each;
    return count;
  }
  /// Continuations of all other categories' prompts that are judged to be `kept`, and how many there are.
  [[nodiscard]] std::pair<std::size_t, std::size_t> turned(std::size_t kept) const {
    std::pair<std::size_t, std::size_t> count{0, 0};
    for (std::size_t c = 0; c < judged.size(); ++c) {
      if (c == kept) continue;
      count.first += judged[c][kept];
      count.second += prompts(c);
    }
    return count;
  }
  [[nodiscard]] double turned_share(std::size_t kept) const {
    const auto [hits, all] = turned(kept);
    return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
  }
};

/// Several behaviours as one: counts added, losses averaged, without what was written.
[[nodiscard]] inline behaviour pooled(const std::vector<behaviour>& all) {
  behaviour result = all.front();
  result.written.clear();
  for (std::size_t i = 1; i < all.size(); ++i) {
    for (std::size_t c = 0; c < result.judged.size(); ++c) {
      result.code_like[c] += all[i].code_like[c];
      for (std::size_t k = 0; k < result.judged[c].size(); ++k) result.judged[c][k] += all[i].judged[c][k];
    }
    for (std::size_t c = 0; c < result.loss.size(); ++c) result.loss[c] += all[i].loss[c];
  }
  for (double& each : result.loss) each /= static_cast<double>(all.size());
  return result;
}

/// Measures removals on one model whose weights are `pruned_weights`; directions of the stream are edited.
template <class Model>
class isolation {
 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  isolation(Model& of, side_by_side<Model>& its_copies, const judge& by) : opt{of}, copies{its_copies}, decide{by} {}

  Model& opt;
  side_by_side<Model>& copies;
  const judge& decide;
  std::size_t categories = 0;
  labelled_texts held_back{}, prompts{};
  generation wanted{.new_tokens = 40,
                    .how = {.temperature = 0.8, .top_p = 0.9, .seed = 1},
                    .seed_step = 1,
                    .stop = {},
                    .enough_every = 8};
  /// A continuation of at least 16 tokens ends when the judge gives one category this probability; 1: it never does.
  double sure = 1;
  std::function<std::string(const token_list&)> decode{};

  /// The behaviour with `what` taken out, the whole model's for an empty one.
  [[nodiscard]] behaviour measure(const removal& what) { return measure_on(opt, what, prompts, nullptr); }
  /// The behaviour with each of several removals, measured side by side. Prompts of the category `without` are not
  /// continued; layers below the first that a removal changes are not run again. `done()` is called after each, by one
  /// thread at a time.
  template <class Done>
  [[nodiscard]] std::vector<behaviour> measure_all(const std::vector<removal>& removals, std::size_t without,
                                                   Done done) {
    labelled_texts some;
    for (std::size_t i = 0; i < prompts.tokens.size(); ++i) {
      if (prompts.category[i] != without) some.add(prompts.tokens[i], prompts.category[i]);
    }
    const unchanged below = run_below(removals, some);
    std::vector<behaviour> result(removals.size());
    std::mutex one_at_a_time;
    copies(removals.size(), [&](std::size_t i, std::size_t copy) {
      result[i] = measure_on(copies[copy], removals[i], some, &below);
      const std::lock_guard lock{one_at_a_time};
      done();
    });
    return result;
  }

  /// Continuations alone, of any prompts.
  [[nodiscard]] behaviour measure_prompts(const removal& what, const labelled_texts& from) {
    opt.weights().remove(what, opt.backend().pool());
    direction_edits directions = direction_edits_of(what);
    behaviour result;
    write(opt, result, from, {}, directions);
    return result;
  }
  /// The behaviour of the whole model with editors.
  template <class... Editors>
  [[nodiscard]] behaviour measure_edited(Editors&... editors) {
    opt.weights().remove({}, opt.backend().pool());
    behaviour result;
    result.loss = losses(opt, {}, editors...);
    write(opt, result, prompts, {}, editors...);
    return result;
  }

 private:
  using scalar = typename Model::scalar;

  /// What the whole model has in front of the layers at which removals begin.
  struct unchanged {
    capture<site::resid_pre> held_back{positions::all()}, prompts{positions::all()};
    kv_cache<scalar> cache;  // of the prompts
  };
  /// From which layer on a model is run; null: from the embedding on.
  struct beginning {
    const unchanged* below = nullptr;
    std::size_t layer = 0;
  };

  /// The first layer that is not the whole model's; 0 if all are.
  static std::size_t first_changed(const removal& what) {
    for (std::size_t layer = 0; layer < what.layers.size(); ++layer) {
      if (!what.layers[layer].empty()) return layer;
    }
    return 0;
  }

  unchanged run_below(const std::vector<removal>& removals, const labelled_texts& some) {
    std::vector<std::size_t> layers;
    for (const removal& what : removals) {
      if (const std::size_t first = first_changed(what); first > 0) layers.push_back(first);
    }
    unchanged below;
    if (layers.empty() || some.tokens.empty()) return below;
    opt.weights().remove({}, opt.backend().pool());
    opt.run(held_back.tokens, below.held_back.only_layers(layers));
    opt.run(some.tokens, below.cache, below.prompts.only_layers(layers));
    return below;
  }

  behaviour measure_on(Model& model, const removal& what, const labelled_texts& from, const unchanged* below) const {
    model.weights().remove(what, model.backend().pool());
    direction_edits directions = direction_edits_of(what);
    const std::size_t first = first_changed(what);
    beginning begin;
    if (below != nullptr && below->cache.texts() != 0 && first > 0) begin = {below, first};
    behaviour result;
    result.loss = losses(model, begin, directions);
    write(model, result, from, begin, directions);
    return result;
  }

  template <class... Editors>
  std::vector<double> losses(Model& model, const beginning& begin, Editors&... editors) const {
    next_token_loss loss{held_back.tokens};
    if (begin.below == nullptr) {
      model.run(held_back.tokens, editors..., loss);
    } else {
      model.run_from(begin.layer, begin.below->held_back(site::resid_pre{}, begin.layer), held_back.tokens, editors...,
                     loss);
    }
    std::vector<double> result;
    for (std::size_t c = 0; c < categories; ++c) {
      result.push_back(loss.mean([&](std::size_t t) { return held_back.category[t] == c; }));
    }
    return result;
  }

  template <class... Editors>
  void write(Model& model, behaviour& result, const labelled_texts& from, const beginning& begin,
             Editors&... editors) const {
    result.judged.assign(categories, std::vector<std::size_t>(categories));
    result.code_like.assign(categories, 0);
    generation until = wanted;
    if (sure < 1) {
      until.enough = [&](const token_list& so_far) {
        if (so_far.size() < 16) return false;
        const std::vector<double> p = decide.probabilities(decode(so_far));
        return *std::max_element(p.begin(), p.end()) >= sure;
      };
    }
    const token_batch ids = begin.below == nullptr
                                ? generate(model, from.tokens, until, editors...)
                                : generate_from(begin.layer, begin.below->prompts(site::resid_pre{}, begin.layer),
                                                begin.below->cache, model, from.tokens, until, editors...);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      result.written.push_back(decode(ids[i]));
      const std::size_t c = from.category[i];
      ++result.judged[c][decide(result.written.back())];
      result.code_like[c] += looks_like_code(result.written.back());
    }
  }
};

}  // namespace optscope

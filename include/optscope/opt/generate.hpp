// SPDX-License-Identifier: MIT
#pragma once
// Continues prompts: several of different lengths at once, each as if it were alone.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/logit_rules.hpp>
#include <optscope/opt/sampling.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// What to generate, and when to stop.
struct generation {
  std::size_t new_tokens = 64;                              ///< at most this many per prompt
  sampling how = {};                                        ///< how each token is chosen
  std::uint64_t seed_step = 0;                              ///< prompt i draws from seed `how.seed` + i * `seed_step`
  std::vector<token_id> stop = {2};                         ///< ends a continuation, and is its last id: `</s>`
  std::size_t tokens = static_cast<std::size_t>(-1);        ///< ids from here on have no token and are never chosen
  logit_rules rules = {};                                   ///< changes logits before a token is chosen
  std::vector<bool> banned = {};                            ///< [id]: never chosen
  std::function<bool(const token_list&)> enough = {};       ///< ends a continuation (its ids so far) by returning true;
                                                            ///< called by several threads
  std::size_t enough_every = 1;                             ///< `enough` is asked after every this many tokens
  std::function<void(std::size_t, std::size_t)> step = {};  ///< called after every step with (steps done, most steps)
};

namespace detail {

/// What does not depend on the probes of a generation: the continuations so far and their samplers.
class generation_state {
 public:
  generation_state(const token_batch& prompts, const generation& what);

  /// The tokens of the next step: the prompts, then the token chosen last; none for a continuation that has ended.
  [[nodiscard]] const token_batch& next() const noexcept { return next_; }

  /// Chooses the next token of each continuation from logits (text, vocabulary), on the threads of the pool. Returns
  /// false if all have ended.
  template <class T>
  [[nodiscard]] bool choose(tensor_view<const T, 2> logits, const cached_texts& cache, std::size_t max_positions,
                            thread_pool& pool);

  [[nodiscard]] token_batch& found() noexcept { return found_; }

 private:
  const generation& what_;
  std::size_t steps_ = 0;
  token_batch found_, next_;
  token_batch so_far_;  // with the prompts; empty without rules
  std::vector<sampler> samplers_;
};

/// The loop of `generate`; `stream` null: the prompts are run from the embedding on.
template <class Model, class... Probes>
token_batch generate(Model& opt, const token_batch& prompts, const generation& what, typename Model::cache_type cache,
                     std::size_t layer, const tensor_view<const typename Model::scalar, 2>* stream, Probes&... probes) {
  using scalar = typename Model::scalar;
  if (prompts.empty() || what.new_tokens == 0) return token_batch(prompts.size());
  generation_state state{prompts, what};
  bool more = true;
  for (std::size_t step = 0; more && step < what.new_tokens; ++step) {
    const tensor<scalar, 2> logits =
        step == 0 ? opt.next_step(state.next(), cache, {.layer = layer, .stream = stream}, probes...)
                  : opt.next_step(state.next(), cache, {.continues = true}, probes...);
    more = state.choose<scalar>(logits, cache, opt.shape().max_positions, opt.backend().pool());
    if (what.step) what.step(step + 1, what.new_tokens);
  }
  (finish(probes), ...);
  return std::move(state.found());
}

}  // namespace detail

/// The new ids of each prompt.
///
///     model<any_opt, float, cpu, mapped_weights<float>> opt{files};
///     const tokenizer words{files.folder()};
///     const token_batch prompts{words.encode("Paris is"), words.encode("The capital of Japan")};
///     for (const token_list& ids : generate(opt, prompts, {.new_tokens = 20, .tokens = words.size()}))
///       std::cout << words.decode(ids) << '\n';
///
/// A continuation ends with an id of `stop`, after `new_tokens`, when there is `enough`, or where no position is left
/// for its last id. What is chosen for a prompt has the same bits alone and with others. Probes are shown every run:
/// first the prompts, then one token at a time at its position; `place::text` is the prompt's index, and a prompt that
/// has ended is not shown again. Editors act in every run. Throws `bad_input` for prompts that the model cannot take,
/// or logits that are not finite.
template <class Model, class... Probes>
  requires(detail::probe_argument<Probes> && ...)
[[nodiscard]] token_batch generate(Model& opt, const token_batch& prompts, const generation& what, Probes&&... probes) {
  if constexpr (detail::are_probes<typename Model::scalar, Probes...>()) {
    return detail::generate(opt, prompts, what, {}, 0, nullptr, probes...);
  } else {
    return {};
  }
}

/// The same with the prompts run from a layer on, as `model::run_from` does: `cache` is what a run over them filled,
/// `stream` what it had as `resid_pre` of the layer. For many edits of the same prompts at and above that layer.
///
///     kv_cache<float> cache;
///     capture<site::resid_pre> before;
///     opt.run(prompts, cache, before.only_layers({20}));
///     for (auto& editor : editors) generate_from(20, before(site::resid_pre{}, 20), cache, opt, prompts, {}, editor);
template <class Model, class... Probes>
  requires(detail::probe_argument<Probes> && ...)
[[nodiscard]] token_batch generate_from(std::size_t layer, tensor_view<const typename Model::scalar, 2> stream,
                                        const typename Model::cache_type& cache, Model& opt, const token_batch& prompts,
                                        const generation& what, Probes&&... probes) {
  if constexpr (detail::are_probes<typename Model::scalar, Probes...>()) {
    return detail::generate(opt, prompts, what, cache, layer, &stream, probes...);
  } else {
    return {};
  }
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/generate.ipp>
#endif

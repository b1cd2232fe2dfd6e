// SPDX-License-Identifier: MIT
#pragma once
// Continues prompts: several of different lengths at once, each as if it were alone.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/sampling.hpp>
#include <vector>

namespace optscope {

/// What to generate, and when to stop.
struct generation {
  std::size_t new_tokens = 64;                              ///< at most so many a prompt
  sampling how = {};                                        ///< each prompt draws from the seed anew
  std::vector<token_id> stop = {2};                         ///< ends a continuation, and is its last id: `</s>`
  std::size_t tokens = static_cast<std::size_t>(-1);        ///< ids from here on have no token and are never chosen
  std::vector<bool> banned = {};                            ///< [id]: never chosen
  std::function<void(std::size_t, std::size_t)> step = {};  ///< called after every step with (steps done, most steps)
};

namespace detail {
/// The loop of `generate`; `stream` null: the prompts are run from the embedding on.
template <class Model, class... Probes>
token_batch generate(Model& opt, const token_batch& prompts, const generation& what,
                     kv_cache<typename Model::scalar> cache, std::size_t layer,
                     const tensor_view<const typename Model::scalar, 2>* stream, Probes&... probes) {
  token_batch result(prompts.size()), next = prompts;
  if (prompts.empty() || what.new_tokens == 0) return result;
  std::vector<sampler> samplers(prompts.size(), sampler{what.how});
  for (std::size_t step = 0; step < what.new_tokens; ++step) {
    const tensor<typename Model::scalar, 2> logits = step == 0
                                                         ? opt.next_step(next, cache, false, layer, stream, probes...)
                                                         : opt.next_step(next, cache, true, 0, nullptr, probes...);
    bool more = false;
    for (std::size_t text = 0; text < prompts.size(); ++text) {
      if (next[text].empty()) continue;
      const token_id id = samplers[text](logits.row(text), what.tokens, what.banned);
      result[text].push_back(id);
      const bool ended = std::ranges::count(what.stop, id) != 0 || cache.length(text) == opt.shape().max_positions;
      next[text] = ended ? token_list{} : token_list{id};
      more = more || !ended;
    }
    if (what.step) what.step(step + 1, what.new_tokens);
    if (!more) break;
  }
  (finish(probes), ...);
  return result;
}
}  // namespace detail

/// The new ids of each prompt.
///
///     model<any_opt, float, cpu, resident_weights<float>> opt{files};
///     const tokenizer words{files.folder()};
///     const token_batch prompts{words.encode("Paris is"), words.encode("The capital of Japan")};
///     for (const token_list& ids : generate(opt, prompts, {.new_tokens = 20, .tokens = words.size()}))
///       std::cout << words.decode(ids) << '\n';
///
/// A continuation ends with an id of `stop`, after `new_tokens`, or where the last id has no position to stand at. What
/// is chosen for a prompt has the same bits alone and among others. Probes are shown every run: first the prompts, then
/// one token at a time at its position; `place::text` is the prompt's index, and a prompt that has ended is not shown
/// again. Editors act in every run. Throws `bad_input` for prompts that the model cannot take, or logits that are not
/// finite.
template <class Model, class... Probes>
  requires(probe_for<Probes, typename Model::scalar> && ...)
[[nodiscard]] token_batch generate(Model& opt, const token_batch& prompts, const generation& what, Probes&&... probes) {
  return detail::generate(opt, prompts, what, {}, 0, nullptr, probes...);
}

/// The same with the prompts run from a layer on, as `model::run_from` does: `cache` is what a run over them filled,
/// `stream` what it had as `resid_pre` of the layer. For many edits of the same prompts at and above that layer.
///
///     kv_cache<float> cache;
///     capture<site::resid_pre> before;
///     opt.run(prompts, cache, before.only_layers({20}));
///     for (auto& editor : editors) generate_from(20, before(site::resid_pre{}, 20), cache, opt, prompts, {}, editor);
template <class Model, class... Probes>
  requires(probe_for<Probes, typename Model::scalar> && ...)
[[nodiscard]] token_batch generate_from(std::size_t layer, tensor_view<const typename Model::scalar, 2> stream,
                                        const kv_cache<typename Model::scalar>& cache, Model& opt,
                                        const token_batch& prompts, const generation& what, Probes&&... probes) {
  return detail::generate(opt, prompts, what, cache, layer, &stream, probes...);
}

}  // namespace optscope

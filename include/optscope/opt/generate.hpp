// SPDX-License-Identifier: MIT
#pragma once
// Continues prompts: several of different lengths at once, each as if it were alone.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optscope/core/probe.hpp>
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

/// The new ids of each prompt.
///
///     model<any_opt, float, blas, resident_weights<float>> opt{files};
///     const tokenizer words{files.folder()};
///     const token_batch prompts{words.encode("Paris is"), words.encode("The capital of Japan")};
///     for (const token_list& ids : generate(opt, prompts, {.new_tokens = 20, .tokens = words.size()}))
///       std::cout << words.decode(ids) << '\n';
///
/// A continuation ends with an id of `stop`, after `new_tokens`, or where the last id has no position to stand at. What
/// is chosen for a prompt has the same bits alone and among others. Probes are shown every run: first the prompts, then
/// one token at a time at its position; `place::text` is the prompt's index, and a prompt that has ended is not shown
/// again. Throws `bad_input` for prompts that the model cannot take, or logits that are not finite.
template <class Model, class... Probes>
requires(probe_for<Probes, typename Model::scalar>&&...) [[nodiscard]] token_batch
    generate(Model& opt, const token_batch& prompts, const generation& what, Probes&&... probes) {
  using scalar = typename Model::scalar;
  token_batch result(prompts.size()), next = prompts;
  if (prompts.empty() || what.new_tokens == 0) return result;
  std::vector<sampler> samplers(prompts.size(), sampler{what.how});
  kv_cache<scalar> cache;
  for (std::size_t step = 0; step < what.new_tokens; ++step) {
    const tensor<scalar, 2> logits = opt.next_logits(next, cache, probes...);
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
  return result;
}

}  // namespace optscope

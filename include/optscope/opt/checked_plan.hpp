// SPDX-License-Identifier: MIT
#pragma once
// What is asked of a run, checked before it begins.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// What a plan is made of besides texts.
struct run_request {
  const cached_texts* cache = nullptr;              // null: none
  std::size_t layer = 0;                            // the first
  const std::size_t* stream = nullptr;              // (rows, columns) of its input; null: the embedding
  bool continues = false;                           // a step that is not the first
  const std::vector<std::string>* names = nullptr;  // [text]; null: none
};

/// The plan of a run. Throws `bad_input` for texts that the model cannot take, a cache of another model or other texts,
/// or a stream that does not fit them.
[[nodiscard]] run_plan checked_plan(const architecture& shape, const token_batch& texts, const run_request& how);

/// What a run is to do besides its texts.
template <class T, class Space>
struct run_options {
  kv_cache<T, Space>* cache = nullptr;              // null: none
  tensor<T, 2>* next = nullptr;                     // (text, vocabulary): the logits after each text; null: not wanted
  std::size_t layer = 0;                            // the first
  const tensor_view<const T, 2>* stream = nullptr;  // its input; null: the embedding
  bool step = false;                                // one of several of a generation, which finishes the probes itself
  bool continues = false;                           // a step that is not the first
  const std::vector<std::string>* names = nullptr;  // [text]; null: none

  [[nodiscard]] run_plan plan(const architecture& shape, const token_batch& texts) const {
    return checked_plan(shape, texts,
                        {.cache = cache,
                         .layer = layer,
                         .stream = stream == nullptr ? nullptr : stream->shape().data(),
                         .continues = continues,
                         .names = names});
  }
};

/// Makes the cache ready for the run: as long as the plan says, with room for the new tokens.
template <class T, class Space, class Backend>
void prepare_cache(const run_plan& plan, Backend& backend, kv_cache<T, Space>& cache) {
  cache.prepare(plan.shape, plan.lengths.size());
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    cache.truncate(text, plan.cached[text]);
    cache.make_room(backend, text, plan.lengths[text]);
  }
}

/// Throws `bad_input`: a run from a layer on was given a probe that wants this site of a layer below.
[[noreturn]] void refuse_site_below(std::size_t first_layer, const site_info& site, std::size_t layer);

/// Throws `bad_input`: the architecture of the model in `folder` does not have the site.
[[noreturn]] void refuse_missing_site(const std::string& folder, std::string_view site);

/// Throws `bad_input` if rows of the stream do not have `hidden` elements.
void require_stream_width(std::size_t hidden, std::size_t found);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/checked_plan.ipp>
#endif

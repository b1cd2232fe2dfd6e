// SPDX-License-Identifier: MIT
#pragma once
// A model: a variant, its weights, a backend and a decoder block, and the run that shows activations to probes.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/backend_weights.hpp>
#include <optscope/opt/block.hpp>
#include <optscope/opt/checked_plan.hpp>
#include <optscope/opt/decoder_block.hpp>
#include <optscope/opt/ends.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/variants.hpp>
#include <optscope/opt/weights.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// Instantiated for each site that a probe lists; the error shows the types.
template <class Site, class Variant>
struct model_has_site {
  static_assert(Site::exists(Variant::shape), "a probe lists a site that this model does not have");
};
template <class Site, class Block>
struct model_shows_site {
  static_assert(block_has_site<Block, Site>, "a probe lists a site that this model's decoder block does not offer");
};
}  // namespace detail

/// An OPT model, ready to run.
///
///     #include <optscope/optscope.hpp>
///     using namespace optscope;
///
///     int main(int, char** argv) {
///       const checkpoint files{argv[1]};
///       model<opt_125m> opt{files};                                // another shape on disk is an error that says so
///       const token_batch texts{tokenizer{argv[1]}.encode("Paris is the capital of")};
///       capture<site::resid_post> probe{positions::last()};
///       opt.run(texts, probe);
///       const auto last = probe(site::resid_post{}, opt.layers() - 1);  // (text, hidden)
///     }
///
/// `Variant` names the architecture (`any_opt`: the checkpoint's), `Scalar` is what it computes in (float, or double
/// for reference values), `Backend` the arithmetic, `Weights` where the weights are while it runs, `Block` what happens
/// in a layer.
template <class Variant = any_opt, class Scalar = float, class Backend = cpu, class Weights = mapped_weights<Scalar>,
          class Block = decoder_block>
class model {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>, "a model computes in float or double");
  static_assert(
      backend_for<Backend, Scalar>,
      "the Backend of a model must satisfy backend_for<Backend, Scalar>: backend/backend.hpp lists its members");
  static_assert(
      weight_policy<Weights, Scalar>,
      "the Weights of a model must satisfy weight_policy<Weights, Scalar>: opt/weights.hpp lists its members");
  static_assert(block_for<Block, Scalar, Backend>,
                "the Block of a model must satisfy block_for<Block, Scalar, Backend>: opt/block.hpp lists its members");

 public:
  using scalar = Scalar;
  using backend_type = Backend;
  using weights_type = Weights;
  using block_type = Block;
  using memory_space = typename Backend::space;
  using cache_type = kv_cache<Scalar, memory_space>;

  /// Checks every tensor's shape. Throws `checkpoint_error` if one is missing or different, or if the architecture is
  /// not the variant's.
  explicit model(checkpoint files, Backend backend = Backend{}, Block block = Block{})
      : files_{std::move(files)},
        shape_{checked_shape(files_)},
        backend_{std::move(backend)},
        weights_{Weights{files_, shape_, backend_.pool()}, shape_},
        block_{std::move(block)} {}

  /// The same model on another backend; needs weights and a block that can be copied.
  model(const model& other, Backend backend)
      : files_{other.files_},
        shape_{other.shape_},
        backend_{std::move(backend)},
        weights_{other.weights_},
        block_{other.block_} {}

  [[nodiscard]] const architecture& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t layers() const noexcept { return shape_.layers; }
  [[nodiscard]] const checkpoint& files() const noexcept { return files_; }
  [[nodiscard]] Backend& backend() noexcept { return backend_; }
  [[nodiscard]] Weights& weights() noexcept { return weights_.policy(); }
  [[nodiscard]] Block& block() noexcept { return block_; }

  /// `report(done, layers)` is called after every layer of a run; `layers` is how many it needs.
  void on_progress(std::function<void(std::size_t, std::size_t)> report) { report_ = std::move(report); }

  /// Runs the texts, layer by layer, and shows each site to the probes that list it. Texts may have any lengths, and
  /// what a probe is shown of one text does not depend on the rest. Stops after the last layer in which a site is
  /// wanted. Throws `bad_input` for an empty text, an id outside the vocabulary, more tokens than positions, or a site
  /// that the model lacks.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const token_batch& texts, Probes&&... probes) {
    run_with(texts, {}, probes...);
  }
  /// The same, with errors that name the texts.
  template <std::same_as<named_texts> Texts, class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const Texts& texts, Probes&&... probes) {
    run_with(texts, {.names = &texts.names}, probes...);
  }

  /// The same for tokens that follow those in the cache, and that are added to it. A text without new tokens stays as
  /// it is. Probes are shown the new tokens: `place::first_position` is the number of cached ones; `scores` and
  /// `pattern` are (head, new position, key), with all keys. Agrees with one run over everything to rounding. Throws
  /// `bad_input` also if the cache belongs to another model or number of texts; the cache is unchanged then.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const token_batch& texts, cache_type& cache, Probes&&... probes) {
    run_with(texts, {.cache = &cache}, probes...);
  }
  template <std::same_as<named_texts> Texts, class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const Texts& texts, cache_type& cache, Probes&&... probes) {
    run_with(texts, {.cache = &cache, .names = &texts.names}, probes...);
  }

  /// The same run from a layer on, for edits there and above: the layers below are not computed. `stream` is the
  /// `resid_pre` of that layer in a run over the same texts, one text after the other: (position of every text,
  /// hidden). Bits are those of the whole run.
  ///
  ///     capture<site::resid_pre> before;
  ///     opt.run(texts, before.only_layers({20}));
  ///     opt.run_from(20, before(site::resid_pre{}, 20), texts, editor, probe);
  ///
  /// Throws `bad_input` also if a probe wants a site of what is not computed, or the rows are not those of the texts.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run_from(std::size_t layer, tensor_view<const Scalar, 2> stream, const token_batch& texts, Probes&&... probes) {
    run_with(texts, {.layer = layer, .stream = &stream}, probes...);
  }

  /// The same with a cache whose last tokens are the texts already: keys and values of this layer and those above are
  /// replaced. If the run fails, the cache no longer has these tokens.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run_from(std::size_t layer, tensor_view<const Scalar, 2> stream, const token_batch& texts, cache_type& cache,
                Probes&&... probes) {
    run_with(texts, {.cache = &cache, .layer = layer, .stream = &stream}, probes...);
  }

  /// A run that returns the logits after the last token of each text: (text, vocabulary), zeros for a text without new
  /// tokens. Editors of `ln_final` and `logits` change them.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  [[nodiscard]] tensor<Scalar, 2> next_logits(const token_batch& texts, cache_type& cache, Probes&&... probes) {
    tensor<Scalar, 2> logits{{texts.size(), shape_.vocabulary}};
    run_with(texts, {.cache = &cache, .next = &logits}, probes...);
    return logits;
  }

  /// How a step of a generation differs from a run of its own.
  struct step_options {
    bool continues = false;                                // not the first step
    std::size_t layer = 0;                                 // the first layer to run
    const tensor_view<const Scalar, 2>* stream = nullptr;  // its input, as for `run_from`; null: the embedding
  };
  /// For `generate`: the same as `next_logits`, as one step of several. Does not call `finish`.
  template <class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  [[nodiscard]] tensor<Scalar, 2> next_step(const token_batch& texts, cache_type& cache, const step_options& step,
                                            Probes&&... probes) {
    tensor<Scalar, 2> logits{{texts.size(), shape_.vocabulary}};
    run_with(texts,
             {.cache = &cache,
              .next = &logits,
              .layer = step.layer,
              .stream = step.stream,
              .step = true,
              .continues = step.continues},
             probes...);
    return logits;
  }

  /// Rows of the last `resid_post` (position, hidden) through the final LayerNorm and project_out, as far as the model
  /// has them: (position, embed_dim), what is multiplied with the unembedding. Hugging Face calls it last_hidden_state.
  /// Throws `bad_input` if the rows are not as wide as the stream.
  [[nodiscard]] tensor<Scalar, 2> last_hidden_state(tensor_view<const Scalar, 2> rows) {
    detail::unembedding<Scalar, Backend, own_weights> end{shape_, backend_, weights_};
    const const_view last = end.project(end.norm_copy(rows));
    tensor<Scalar, 2> result{last.shape()};
    detail::copy_to_host<Scalar, 2>(backend_, last, result.view());
    return result;
  }

  /// Rows of the stream (position, hidden), from any depth, as if they were the last `resid_post`: logits (position,
  /// vocabulary), by the final LayerNorm with each row's own mean and variance, project_out, and the unembedding, as
  /// far as the model has them. Of `resid_post` of layer l that is the logit lens (nostalgebraist 2020); of the last
  /// layer it is `logits`. Throws `bad_input` if the rows are
  /// not as wide as the stream.
  ///
  ///     const tensor<float, 2> belief = opt.logits_of(probe(site::resid_post{}, 5));  // (vector, vocabulary)
  [[nodiscard]] tensor<Scalar, 2> logits_of(tensor_view<const Scalar, 2> rows) {
    tensor<Scalar, 2> result{{rows.rows(), shape_.vocabulary}};
    detail::unembedding<Scalar, Backend, own_weights> end{shape_, backend_, weights_};
    const const_view last = end.norm_copy(rows);
    if constexpr (memory_space::host) {
      end.logits(last, result.view());
    } else {
      tensor_in<Scalar, 2, memory_space> logits{backend_, result.shape()};
      end.logits(last, logits.view());
      detail::copy_to_host<Scalar, 2>(backend_, logits.view(), result.view());
    }
    return result;
  }

 private:
  using run_options = detail::run_options<Scalar, memory_space>;
  using own_weights = detail::backend_weights<Scalar, Backend, Weights>;
  using view = tensor_view<Scalar, 2, memory_space>;
  using const_view = tensor_view<const Scalar, 2, memory_space>;

  template <class... Probes>
  void run_with(const token_batch& texts, const run_options& how, Probes&... probes) {
    if constexpr (detail::are_probes<Scalar, Probes...>()) run_probes(texts, how, probes...);
  }

  template <class... Probes>
  void run_probes(const token_batch& texts, const run_options& how, Probes&... probes) {
    (check_sites(probes, how), ...);
    const run_plan plan = how.plan(shape_, texts);
    (detail::begin(probes, plan), ...);
    if (how.cache != nullptr) detail::prepare_cache(plan, backend_, *how.cache);
    forward_pass<Scalar, Backend, Probes...> pass{plan, backend_, how.cache, how.next != nullptr, probes...};
    if (how.stream == nullptr) {
      embed(texts, plan, pass);
    } else {
      detail::copy_from_host<Scalar, 2>(backend_, *how.stream, pass.stream());
    }
    run_layers(pass, how.layer);
    unembed(pass, how.next);
    for (std::size_t text = 0; how.cache != nullptr && text < texts.size(); ++text) {
      how.cache->advance(text, texts[text].size());
    }
    (detail::end(probes), ...);
    if (!how.step) (detail::finish(probes), ...);
  }

  static architecture checked_shape(const checkpoint& files) {
    const std::string file = (files.folder() / "config.json").string();
    const architecture found = architecture_of(files.configuration(), file);
    if constexpr (fixed_variant<Variant>) require_variant(found, Variant::shape, Variant::name, file);
    return found;
  }

  template <class Probe>
  void check_sites(const Probe& probe, const run_options& how) const {
    Probe::sites::for_each([&]<class Site>(Site) {
      static_cast<void>(detail::model_shows_site<Site, Block>{});
      std::size_t not_run = 0;  // of the layers; of a site without a layer 1: it is not run
      if (how.stream != nullptr && Site::per_layer) not_run = how.layer;
      if (how.stream != nullptr && Site::stage == site_stage::embedding) not_run = 1;
      for (std::size_t layer = 0; layer < not_run; ++layer) {
        if (wants<Site>(probe, layer)) detail::refuse_site_below(how.layer, Site::info, layer);
      }
      if constexpr (fixed_variant<Variant>) {
        static_cast<void>(detail::model_has_site<Site, Variant>{});
      } else if (!Site::exists(shape_) && wants<Site>(probe, 0)) {
        detail::refuse_missing_site(files_.folder().string(), Site::name);
      }
    });
  }

  /// stream = token embedding (through project_in) + position embedding.
  template <class Pass>
  void embed(const token_batch& texts, const run_plan& plan, Pass& pass) {
    tensor_in<Scalar, 2, memory_space> memory{backend_, {pass.chunk_rows(), shape_.hidden}};
    for (const text_chunk& chunk : pass.chunks()) {
      const view stream = pass.stream(chunk), positions = memory.view().slice(0, chunk.rows);
      detail::embed<Scalar>(texts, plan, chunk, backend_, weights_, stream, positions);
      pass.template offer<site::embed>(chunk, 0, stream);
      pass.template offer<site::pos_embed>(chunk, 0, positions);
      backend_.add(const_view{positions}, stream);
    }
  }

  template <class Pass>
  void run_layers(Pass& pass, std::size_t first) {
    auto memory = block_.prepare(std::as_const(pass));
    const std::size_t needed = pass.layers_needed();
    for (std::size_t layer = first; layer < needed; ++layer) {
      const auto weights = weights_.layer(backend_, layer, needed);
      pass.layer(block_, memory, layer, weights, layer + 1 == needed);
      if (report_) report_(layer + 1, needed);
    }
  }

  /// Final LayerNorm, project_out and logits: of all positions if a probe wants them, else of each text's last one if
  /// `next` (text, vocabulary), where those logits go, is not null.
  template <class Pass>
  void unembed(Pass& pass, tensor<Scalar, 2>* next) {
    const bool logits = pass.template wanted<site::logits>(0);
    const bool all = logits || pass.template wanted<site::ln_final>(0) || pass.template wanted<site::ln_final_scale>(0);
    if (!all && next == nullptr) return;
    detail::unembedding<Scalar, Backend, own_weights> end{shape_, backend_, weights_};
    const bool only_last = next != nullptr && !logits;
    tensor_in<Scalar, 2, memory_space> last{backend_, {only_last ? pass.plan().lengths.size() : 0, shape_.hidden}};
    tensor_in<Scalar, 2, memory_space> normed;
    std::vector<std::size_t> texts;  // of the rows of `last`
    for (const text_chunk& chunk : pass.chunks()) {
      view rows = pass.stream(chunk);
      if (all && shape_.final_layer_norm) {
        normed.resize(backend_, {chunk.rows, shape_.hidden});
        const auto outer = weights_.outer(backend_);
        pass.template norm<site::ln_final, site::ln_final_scale>(chunk, 0, rows, outer.final_norm, normed.view());
        rows = normed.view();
      }
      if constexpr (Pass::template lists<site::logits>) {
        if (logits) show_logits(pass, end, chunk, rows, next);
      }
      if (!only_last) continue;
      pass.state().for_texts(chunk, [&](const text_rows& text) {
        if (text.rows == 0) return;
        backend_.copy(const_view{rows.slice(text.row + text.rows - 1, 1)}, last.view().slice(texts.size(), 1));
        texts.push_back(text.text);
      });
    }
    if (only_last) end.last_logits(last.view().slice(0, texts.size()), texts, !all && shape_.final_layer_norm, *next);
  }

  /// rows (position, hidden) of a chunk to logits (position, vocabulary): some positions of a text at a time, so
  /// that they are never whole in memory. Each text's last go to `next` if that is not null.
  template <class Pass, class End>
  void show_logits(Pass& pass, End& end, const text_chunk& chunk, const_view rows, tensor<Scalar, 2>* next) {
    constexpr std::size_t most_positions = 512;
    tensor_in<Scalar, 2, memory_space> logits;
    pass.state().for_texts(chunk, [&](const text_rows& text) {
      for (std::size_t done = 0; done < text.rows; done += most_positions) {
        const std::size_t count = std::min(most_positions, text.rows - done);
        logits.resize(backend_, {count, shape_.vocabulary});
        end.logits(rows.slice(text.row + done, count), logits.view());
        const place at{.text = text.text, .layer = 0, .first_position = text.position + done};
        pass.template show<site::logits>(at, logits.view());
        if (next != nullptr && done + count == text.rows) {
          detail::copy_to_host<Scalar, 2>(backend_, logits.view().slice(count - 1, 1),
                                          next->view().slice(text.text, 1));
        }
      }
    });
  }

  checkpoint files_;
  architecture shape_;
  Backend backend_;
  own_weights weights_;
  Block block_;
  std::function<void(std::size_t, std::size_t)> report_;
};

}  // namespace optscope

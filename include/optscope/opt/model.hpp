// SPDX-License-Identifier: MIT
#pragma once
// A model: a variant, its weights and a backend, and the run that shows activations to probes.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/variants.hpp>
#include <optscope/opt/weights.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// Instantiated for each site that a probe lists; the error shows both types.
template <class Site, class Variant>
struct model_has_site {
  static_assert(Site::exists(Variant::shape), "a probe lists a site that this model does not have");
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
/// `Variant` names the architecture (`any_opt`: the checkpoint's), `Scalar` is what is computed in (float; double as an
/// oracle), `Backend` the arithmetic, `Weights` where the weights are while it runs.
template <class Variant = any_opt, class Scalar = float, class Backend = cpu, class Weights = streamed_weights<Scalar>>
  requires weight_policy<Weights, Scalar>
class model {
  static_assert(
      backend_for<Backend, Scalar>,
      "the Backend of a model must satisfy backend_for<Backend, Scalar>: backend/backend.hpp lists its members");

 public:
  using scalar = Scalar;
  using backend_type = Backend;

  /// Checks every tensor's shape. Throws `checkpoint_error` if one is missing or different, or if the architecture is
  /// not the variant's.
  explicit model(checkpoint files, Backend backend = Backend{})
      : files_{std::move(files)},
        shape_{checked_shape(files_)},
        backend_{std::move(backend)},
        weights_{files_, shape_, backend_.pool()} {
    require_shape(files_.embedding(), {shape_.vocabulary, shape_.embed_dim});
    require_shape(files_.unembedding(), {shape_.vocabulary, shape_.embed_dim});
    require_shape(files_.at(positions_name), {shape_.max_positions + position_offset, shape_.hidden});
    if (projected()) {
      project_in_ = read("decoder.project_in.weight", {shape_.hidden, shape_.embed_dim});
      project_out_ = read("decoder.project_out.weight", {shape_.embed_dim, shape_.hidden});
    }
    if (shape_.final_layer_norm && shape_.affine_layer_norm) {
      final_gamma_ = read("decoder.final_layer_norm.weight", {shape_.hidden});
      final_beta_ = read("decoder.final_layer_norm.bias", {shape_.hidden});
    }
  }

  /// The same model on another backend; needs weights that can be copied.
  model(const model& other, Backend backend)
      : files_{other.files_},
        shape_{other.shape_},
        backend_{std::move(backend)},
        weights_{other.weights_},
        project_in_{other.project_in_},
        project_out_{other.project_out_},
        final_gamma_{other.final_gamma_},
        final_beta_{other.final_beta_} {}

  [[nodiscard]] const architecture& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t layers() const noexcept { return shape_.layers; }
  [[nodiscard]] const checkpoint& files() const noexcept { return files_; }
  [[nodiscard]] Backend& backend() noexcept { return backend_; }
  [[nodiscard]] Weights& weights() noexcept { return weights_; }

  /// `report(done, layers)` is called after every layer of a run, `layers` being those that it needs.
  void on_progress(std::function<void(std::size_t, std::size_t)> report) { report_ = std::move(report); }

  /// Runs the texts, layer by layer, and shows each site to the probes that list it. Texts may have any lengths; what a
  /// probe is shown of one does not depend on the others. Stops behind the last layer of which a site is wanted. Throws
  /// `bad_input` for an empty text, an id outside the vocabulary, more tokens than positions, or a site that the model
  /// lacks.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  void run(const token_batch& texts, Probes&&... probes) {
    run_with(texts, {}, probes...);
  }

  /// The same for tokens that follow those in the cache, which are added to it. A text without new tokens stays as it
  /// is. What a probe is shown is of the new tokens: `place::first_position` is the number of cached ones; `scores` and
  /// `pattern` are (head, new position, key), with all keys. Agrees with one run over everything to rounding. Throws
  /// `bad_input` also if the cache belongs to another model or number of texts; the cache is unchanged then.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  void run(const token_batch& texts, kv_cache<Scalar>& cache, Probes&&... probes) {
    run_with(texts, {.cache = &cache}, probes...);
  }

  /// The same run from a layer on, for edits there and above: the layers below are not computed. `stream` is what a run
  /// over the same texts had as `resid_pre` of that layer, row below row: (position of every text, hidden). Bits are
  /// those of the whole run.
  ///
  ///     capture<site::resid_pre> before;
  ///     opt.run(texts, before.only_layers({20}));
  ///     opt.run_from(20, before(site::resid_pre{}, 20), texts, editor, probe);
  ///
  /// Throws `bad_input` also if a probe wants a site of what is not computed, or the rows are not those of the texts.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  void run_from(std::size_t layer, tensor_view<const Scalar, 2> stream, const token_batch& texts, Probes&&... probes) {
    run_with(texts, {.layer = layer, .stream = &stream}, probes...);
  }

  /// The same with a cache that holds the texts already, as their last tokens: keys and values of this layer and those
  /// above are replaced. Should the run fail, the cache no longer has them.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  void run_from(std::size_t layer, tensor_view<const Scalar, 2> stream, const token_batch& texts,
                kv_cache<Scalar>& cache, Probes&&... probes) {
    run_with(texts, {.cache = &cache, .layer = layer, .stream = &stream}, probes...);
  }

  /// A run that gives the logits behind the last token of each text: (text, vocabulary), zeros for a text without new
  /// tokens. Editors of `ln_final` and `logits` change them. Keeps the unembedding in memory: vocabulary x embed_dim
  /// scalars, from the first call on.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  [[nodiscard]] tensor<Scalar, 2> next_logits(const token_batch& texts, kv_cache<Scalar>& cache, Probes&&... probes) {
    tensor<Scalar, 2> logits{{texts.size(), shape_.vocabulary}};
    run_with(texts, {.cache = &cache, .next = &logits}, probes...);
    return logits;
  }

  /// For `generate`: the same as one step of several, from a layer on if `stream` is not null. Calls no `finish`.
  template <class... Probes>
    requires(probe_for<Probes, Scalar> && ...)
  [[nodiscard]] tensor<Scalar, 2> next_step(const token_batch& texts, kv_cache<Scalar>& cache, bool continues,
                                            std::size_t layer, const tensor_view<const Scalar, 2>* stream,
                                            Probes&&... probes) {
    tensor<Scalar, 2> logits{{texts.size(), shape_.vocabulary}};
    run_with(texts, {&cache, &logits, layer, stream, true, continues}, probes...);
    return logits;
  }

  /// Rows of the last `resid_post` (position, hidden) through the final LayerNorm and project_out, as far as the model
  /// has them: (position, embed_dim), what the unembedding is multiplied with and Hugging Face calls last_hidden_state.
  [[nodiscard]] tensor<Scalar, 2> last_hidden_state(tensor_view<const Scalar, 2> rows) {
    tensor<Scalar, 2> last{{rows.rows(), shape_.hidden}};
    if (shape_.final_layer_norm) {
      backend_.layer_norm(rows, final_norm().gamma, final_norm().beta, last.view());
    } else {
      for (std::size_t row = 0; row < rows.rows(); ++row) std::ranges::copy(rows.row(row), last.row(row).data());
    }
    if (!projected()) return last;
    tensor<Scalar, 2> narrow{{rows.rows(), shape_.embed_dim}};
    project_out(tensor_view<const Scalar, 2>{last.view()}, narrow.view());
    return narrow;
  }

 private:
  struct run_options {
    kv_cache<Scalar>* cache = nullptr;
    tensor<Scalar, 2>* next = nullptr;                     // (text, vocabulary)
    std::size_t layer = 0;                                 // the first
    const tensor_view<const Scalar, 2>* stream = nullptr;  // its input; null: the embedding
    bool step = false, continues = false;                  // of a generation; not its first
  };

  template <class... Probes>
  void run_with(const token_batch& texts, const run_options& how, Probes&... probes) {
    (check_sites(probes, how), ...);
    const run_plan plan = checked_plan(texts, how);
    (detail::begin(probes, plan), ...);
    if (how.cache != nullptr) how.cache->prepare(shape_, texts.size());
    for (std::size_t text = 0; how.cache != nullptr && text < texts.size(); ++text) {
      how.cache->truncate(text, plan.cached[text]);
      how.cache->make_room(text, texts[text].size());
    }
    forward_pass<Scalar, Backend, Probes...> pass{plan, backend_, how.cache, how.next != nullptr, probes...};
    if (how.stream == nullptr) {
      embed(texts, plan, pass);
    } else {
      const tensor_view<Scalar, 2> stream = pass.memory().stream.view();
      for (std::size_t row = 0; row < stream.rows(); ++row) {
        std::ranges::copy(how.stream->row(row), stream.row(row).data());
      }
    }
    const std::size_t needed = pass.layers_needed();
    for (std::size_t layer = how.layer; layer < needed; ++layer) {
      pass.layer(layer, weights_.layer(layer, needed, backend_.pool()), layer + 1 == needed);
      if (report_) report_(layer + 1, needed);
    }
    unembed(pass, how.next);
    for (std::size_t text = 0; how.cache != nullptr && text < texts.size(); ++text) {
      how.cache->advance(text, texts[text].size());
    }
    (detail::end(probes), ...);
    if (!how.step) (detail::finish(probes), ...);
  }

  static constexpr std::size_t position_offset = 2;       // rows before that of position 0
  static constexpr std::size_t unembedding_block = 4096;  // rows that are multiplied at a time
  static constexpr const char* positions_name = "decoder.embed_positions.weight";

  static architecture checked_shape(const checkpoint& files) {
    const std::string file = (files.folder() / "config.json").string();
    const architecture found = architecture_of(files.configuration(), file);
    if constexpr (fixed_variant<Variant>) require_variant(found, Variant::shape, Variant::name, file);
    return found;
  }

  [[nodiscard]] bool projected() const noexcept { return shape_.embed_dim != shape_.hidden; }

  std::vector<Scalar> read(const std::string& name, const std::vector<std::size_t>& shape) const {
    const stored_tensor& stored = require_shape(files_.at(name), shape);
    std::vector<Scalar> values(stored.size());
    stored.copy_to(values.data());
    return values;
  }

  template <class Probe>
  void check_sites(const Probe& probe, const run_options& how) const {
    Probe::sites::for_each([&]<class Site>(Site) {
      std::size_t not_run = 0;  // of the layers; of a site without a layer 1: it is not run
      if (how.stream != nullptr && Site::per_layer) not_run = how.layer;
      if (how.stream != nullptr && Site::stage == site_stage::embedding) not_run = 1;
      for (std::size_t layer = 0; layer < not_run; ++layer) {
        if (!wants<Site>(probe, layer)) continue;
        throw bad_input{"", "a run from layer " + std::to_string(how.layer), "probes that want nothing below it",
                        "one that wants " + name_of(Site::info, layer)};
      }
      if constexpr (fixed_variant<Variant>) {
        static_cast<void>(detail::model_has_site<Site, Variant>{});
      } else if (!Site::exists(shape_) && wants<Site>(probe, 0)) {
        throw bad_input{files_.folder().string(), "site " + std::string{Site::name}, "a site of this model",
                        "none: the architecture has no such place"};
      }
    });
  }

  run_plan checked_plan(const token_batch& texts, const run_options& how) const {
    kv_cache<Scalar>* const cache = how.cache;
    const bool again = how.stream != nullptr;  // the cache has these tokens already
    run_plan plan{shape_, {}};
    plan.first_layer = how.layer;
    plan.continues = how.continues;
    if (cache != nullptr && !cache->fits(shape_, texts.size())) {
      throw bad_input{"", "cache", "one of this model with " + std::to_string(texts.size()) + " texts",
                      "another shape, or " + std::to_string(cache->texts()) + " texts"};
    }
    const auto reject = [&](std::size_t text, std::string expected, std::string found) {
      throw bad_input{"", "text " + std::to_string(text), std::move(expected), std::move(found)};
    };
    for (std::size_t text = 0; text < texts.size(); ++text) {
      const token_list& tokens = texts[text];
      std::size_t before = cache == nullptr || cache->texts() == 0 ? 0 : cache->length(text);
      if (again && cache != nullptr) {
        if (before < tokens.size()) {
          reject(text, std::to_string(tokens.size()) + " tokens that the cache holds", std::to_string(before));
        }
        before -= tokens.size();
      }
      const std::size_t total = before + tokens.size();
      if (total == 0) reject(text, "at least one token", "none");
      if (total > shape_.max_positions) {
        reject(text, "at most " + std::to_string(shape_.max_positions) + " tokens", std::to_string(total));
      }
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= shape_.vocabulary) {
          reject(text, "ids below " + std::to_string(shape_.vocabulary),
                 std::to_string(tokens[i]) + " at position " + std::to_string(i));
        }
      }
      plan.lengths.push_back(tokens.size());
      if (cache != nullptr) plan.cached.push_back(before);
    }
    if (again) check_stream(plan, *how.stream);
    return plan;
  }

  void check_stream(const run_plan& plan, tensor_view<const Scalar, 2> stream) const {
    const std::string item = "a run from layer " + std::to_string(plan.first_layer);
    if (plan.first_layer >= shape_.layers) {
      throw bad_input{"", item, "one of " + std::to_string(shape_.layers) + " layers", ""};
    }
    const std::size_t rows = std::accumulate(plan.lengths.begin(), plan.lengths.end(), std::size_t{0});
    const auto size = [](std::size_t m, std::size_t n) { return std::to_string(m) + " rows of " + std::to_string(n); };
    if (stream.rows() != rows || stream.cols() != shape_.hidden) {
      throw bad_input{"", item, size(rows, shape_.hidden), size(stream.rows(), stream.cols())};
    }
  }

  /// stream = token embedding (through project_in) + position embedding.
  template <class Pass>
  void embed(const token_batch& texts, const run_plan& plan, Pass& pass) {
    activations<Scalar>& memory = pass.memory();
    const stored_tensor& table = files_.embedding();
    const stored_tensor& position_table = files_.at(positions_name);
    std::vector<Scalar> narrow(projected() ? memory.normed.rows() * shape_.embed_dim : 0);
    for (const text_chunk& chunk : pass.chunks()) {
      const tensor_view<Scalar, 2> stream = memory.stream.view().slice(chunk.begin, chunk.rows);
      const tensor_view<Scalar, 2> where = memory.normed.view().slice(0, chunk.rows);
      const tensor_view<Scalar, 2> tokens =
          projected() ? tensor_view<Scalar, 2>{narrow.data(), {chunk.rows, shape_.embed_dim}} : stream;
      std::size_t row = 0;
      for (std::size_t text = chunk.first; text < chunk.last; ++text) {
        if (texts[text].empty()) continue;
        position_table.copy_rows(position_offset + plan.first_position(text), texts[text].size(),
                                 where.row(row).data());
        for (const token_id id : texts[text])
          table.copy_rows(static_cast<std::size_t>(id), 1, tokens.row(row++).data());
      }
      if (projected()) {
        backend_.linear(tensor_view<const Scalar, 2>{tokens},
                        tensor_view<const Scalar, 2>{project_in_.data(), {shape_.hidden, shape_.embed_dim}},
                        static_cast<const Scalar*>(nullptr), stream);
      }
      pass.template offer<site::embed>(chunk, 0, stream);
      pass.template offer<site::pos_embed>(chunk, 0, where);
      backend_.add(tensor_view<const Scalar, 2>{where}, stream);
    }
  }

  /// Final LayerNorm, project_out and logits: of all positions if a probe wants them, else of each text's last one if
  /// `next` (text, vocabulary), where those logits go, is not null.
  template <class Pass>
  void unembed(Pass& pass, tensor<Scalar, 2>* next) {
    const run_plan& plan = pass.plan();
    const bool logits = pass.template wanted<site::logits>(0);
    const bool all = logits || pass.template wanted<site::ln_final>(0) || pass.template wanted<site::ln_final_scale>(0);
    if (!all && next == nullptr) return;
    if (next != nullptr && unembedding_.empty()) {
      unembedding_.resize(shape_.vocabulary * shape_.embed_dim);
      convert_unembedding(0, shape_.vocabulary, unembedding_.data());
    }
    activations<Scalar>& memory = pass.memory();
    const bool only_last = next != nullptr && !logits;
    tensor<Scalar, 2> last{{only_last ? plan.lengths.size() : 0, shape_.hidden}};
    std::vector<std::size_t> texts;  // of the rows of `last`
    for (const text_chunk& chunk : pass.chunks()) {
      tensor_view<Scalar, 2> rows = memory.stream.view().slice(chunk.begin, chunk.rows);
      if (all && shape_.final_layer_norm) {
        const tensor_view<Scalar, 2> normed = memory.normed.view().slice(0, chunk.rows);
        pass.template norm<site::ln_final, site::ln_final_scale>(chunk, 0, rows, final_norm(), normed);
        rows = normed;
      }
      if (logits) show_logits(pass, chunk, rows, next);
      std::size_t end = 0;
      for (std::size_t text = chunk.first; only_last && text < chunk.last; ++text) {
        end += plan.lengths[text];
        if (plan.lengths[text] == 0) continue;
        std::ranges::copy(rows.row(end - 1), last.row(texts.size()).data());
        texts.push_back(text);
      }
    }
    if (only_last) unembed_last(last.view().slice(0, texts.size()), texts, !all && shape_.final_layer_norm, *next);
  }

  /// rows (text, hidden), normalised unless `norm`, to the logits of those texts.
  void unembed_last(tensor_view<Scalar, 2> rows, const std::vector<std::size_t>& texts, bool norm,
                    tensor<Scalar, 2>& logits) {
    tensor<Scalar, 2> narrow{{projected() ? texts.size() : 0, shape_.embed_dim}};
    tensor<Scalar, 2> found{{texts.size(), shape_.vocabulary}};
    const std::size_t together = backend_.row_invariant() ? std::max<std::size_t>(1, texts.size()) : 1;
    for (std::size_t first = 0; first < texts.size(); first += together) {
      const std::size_t count = std::min(together, texts.size() - first);
      const tensor_view<Scalar, 2> some = rows.slice(first, count);
      tensor_view<const Scalar, 2> x = some;
      if (norm) backend_.layer_norm(x, final_norm().gamma, final_norm().beta, some);
      if (projected()) x = project_out(x, narrow.view().slice(first, count));
      multiply_unembedding(x, found.view().slice(first, count), nullptr);
    }
    for (std::size_t row = 0; row < texts.size(); ++row) {
      std::ranges::copy(found.row(row), logits.row(texts[row]).data());
    }
  }

  [[nodiscard]] norm_weights<Scalar> final_norm() const {
    if (final_gamma_.empty()) return {};
    return {final_gamma_.data(), final_beta_.data()};
  }

  tensor_view<const Scalar, 2> project_out(tensor_view<const Scalar, 2> x, tensor_view<Scalar, 2> y) {
    backend_.linear(x, tensor_view<const Scalar, 2>{project_out_.data(), {shape_.embed_dim, shape_.hidden}},
                    static_cast<const Scalar*>(nullptr), y);
    return y;
  }

  /// Rows [first, first + count) of the unembedding, on all threads.
  void convert_unembedding(std::size_t first, std::size_t count, Scalar* out) {
    constexpr std::size_t piece = 256;
    const stored_tensor& table = files_.unembedding();
    backend_.pool().parallel_for((count + piece - 1) / piece, [&](std::size_t i, std::size_t) {
      table.copy_rows(first + i * piece, std::min(piece, count - i * piece), out + i * piece * shape_.embed_dim);
    });
  }

  /// x (m, embed_dim) to logits (m, vocabulary), a block of the unembedding's rows at a time: where it is not kept in
  /// memory, each is converted into `scratch` first.
  void multiply_unembedding(tensor_view<const Scalar, 2> x, tensor_view<Scalar, 2> logits, Scalar* scratch) {
    const std::size_t width = shape_.embed_dim, vocabulary = shape_.vocabulary;
    for (std::size_t first = 0; first < vocabulary; first += unembedding_block) {
      const std::size_t size = std::min(unembedding_block, vocabulary - first);
      if (unembedding_.empty()) convert_unembedding(first, size, scratch);
      const Scalar* weights = unembedding_.empty() ? scratch : unembedding_.data() + first * width;
      backend_.linear(x, tensor_view<const Scalar, 2>{weights, {size, width}}, static_cast<const Scalar*>(nullptr),
                      tensor_view<Scalar, 2>{logits.data() + first, {x.rows(), size}, logits.stride()});
    }
  }

  /// rows (position, hidden) of a chunk to logits (position, vocabulary): some positions of a text at a time, so
  /// that they are never whole in memory. Each text's last go to `next` if that is not null.
  template <class Pass>
  void show_logits(Pass& pass, const text_chunk& chunk, tensor_view<const Scalar, 2> rows, tensor<Scalar, 2>* next) {
    constexpr std::size_t most_positions = 512;
    const std::size_t width = shape_.embed_dim, vocabulary = shape_.vocabulary;
    const std::size_t scratch = unembedding_.empty() ? std::min(unembedding_block, vocabulary) * width : 0;
    std::vector<Scalar> weights(scratch), narrow, logits;
    pass.for_pieces(chunk, most_positions, [&](const place& at, std::size_t begin, std::size_t count) {
      tensor_view<const Scalar, 2> x = rows.slice(begin, count);
      if (projected()) {
        narrow.resize(count * width);
        const tensor_view<Scalar, 2> projected_rows{narrow.data(), {count, width}};
        x = project_out(x, projected_rows);
      }
      logits.resize(count * vocabulary);
      const tensor_view<Scalar, 2> shown{logits.data(), {count, vocabulary}};
      multiply_unembedding(x, shown, weights.data());
      pass.template show<site::logits>(at, shown);
      if (next != nullptr && at.first_position + count == pass.plan().total(at.text)) {
        std::ranges::copy(shown.row(count - 1), next->row(at.text).data());
      }
    });
  }

  checkpoint files_;
  architecture shape_;
  Backend backend_;
  Weights weights_;
  std::vector<Scalar> project_in_, project_out_, final_gamma_, final_beta_;
  std::vector<Scalar> unembedding_;  // (vocabulary, embed_dim); empty before `next_logits`
  std::function<void(std::size_t, std::size_t)> report_;
};

}  // namespace optscope

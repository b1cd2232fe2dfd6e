// SPDX-License-Identifier: MIT
#pragma once
// Finds the spectra of blocks of a model with any analyser; what was stopped is resumed, what is done is kept.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/saved_state.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// What the analysis of blocks is given.
struct block_settings {
  automatic_settings analysis{};  ///< of the analyser, as far as it has these; `progress` stops it
  std::size_t directions = 0;     ///< leading directions to find; 0: none
  std::string folder{};           ///< of the saved states; empty: nothing is saved
  /// Lines that say what results depend on in addition to the request: the model, its files, settings. A saved state of
  /// other lines is not used.
  std::string description{};
  /// Told in words why a saved state is not used. May be empty.
  std::function<void(const std::string&)> warn = {};
};

/// What finding a spectrum will take.
struct block_plan {
  std::string analyser;  ///< that will do it
  std::string reason;    ///< why this one
  double operations = 0;
  std::size_t state_bytes = 0;  ///< disk space of its saved state at most
};

namespace detail {

/// Copies the inputs and outputs of both blocks of one layer, in double.
struct block_ends {
  using sites = site_list<site::resid_pre, site::attn_out, site::resid_mid, site::mlp_out>;

  std::size_t layer = 0;
  block_kind block = block_kind::attention;
  tensor<double, 2> input{}, output{};  // (token, hidden)

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t at) const {
    const bool of_attention = std::same_as<Site, site::resid_pre> || std::same_as<Site, site::attn_out>;
    return at == layer && of_attention == (block == block_kind::attention);
  }
  template <class Site>
  void operator()(Site, const place&, tensor_view<const double, 2> rows) {
    const bool is_input = std::same_as<Site, site::resid_pre> || std::same_as<Site, site::resid_mid>;
    keep(rows, is_input ? input : output);
  }

 private:
  static void keep(tensor_view<const double, 2> rows, tensor<double, 2>& to);
};

/// The file of a request's saved state, and the lines that it belongs to.
[[nodiscard]] std::string state_file(const block_settings& settings, const block_request& of, const char* extension);
[[nodiscard]] std::string description_of(const block_settings& settings, const block_request& of,
                                         const token_list& tokens);
/// Removes the state of a request that is done.
void remove_part(const block_settings& settings, const block_request& of);

}  // namespace detail

/// Finds spectra of attention and MLP blocks, and their leading directions, with analysers that are types.
///
///     model<any_opt, double> opt{files};
///     const block_analysis<automatic> analyse{{.directions = 8}};
///     const block_spectrum found = analyse(opt, {.block = block_kind::mlp, .layer = 5, .tokens = 34}, tokens);
///     std::cout << found.ranks(opt.shape().hidden).effective_rank << '\n';
///
/// `Analyser` finds the values, in the precision that it asks for. `Directions` finds the leading singular vectors; its
/// settings have a `count`. If the settings name a folder, the state of an analysis that is stopped and the results of
/// one that is done are saved there, and the next call with the same request, description and tokens resumes. Cost:
/// runs the text through the model two or three times; then what the analysers say.
template <class Analyser, class Directions = largest>
class block_analysis {
  static_assert(spectrum_analyser<Analyser, block_matrix_operator>,
                "a spectrum analyser has types scalar and settings, names name and help, and members check(shape), "
                "bytes(shape), operations(shape) and a call operator that takes an operator: see analyser.hpp");
  static_assert(vector_analyser<Directions>,
                "an analyser that finds directions gives left and right singular vectors: see largest.hpp");

 public:
  explicit block_analysis(block_settings settings = {}) : settings_{std::move(settings)} {}

  /// What it will take. Throws `bad_input`, before any work, if the analyser cannot do it.
  [[nodiscard]] block_plan plan(const block_request& of, std::size_t hidden) const {
    block_plan result;
    with_picked(of, hidden, [&](const auto& picked, const std::string& reason) {
      using picked_type = std::remove_cvref_t<decltype(picked)>;
      const operator_shape shape = jacobian_shape(of.block, of.tokens, hidden, sizeof(typename picked_type::scalar));
      picked.check(shape);
      result.analyser = picked_type::name;
      result.reason = reason;
      result.operations = picked.operations(shape);
      if constexpr (resumable_analyser<picked_type>) result.state_bytes = picked.state_bytes(shape);
      if (settings_.directions != 0) result.operations += directions_of(hidden, {}).operations(shape);
      result.state_bytes += 8 * shape.rows + 16 * settings_.directions * hidden + 4096;
    });
    return result;
  }

  /// Whether the results are saved already; then they are read.
  [[nodiscard]] bool load_done(const token_list& tokens, block_spectrum& found) const {
    std::string analyser;
    return load(found.of, tokens, ".done", analyser, found);
  }

  /// `tokens`: the text; its first `of.tokens` are used. `text`: what an error calls it. If `analysis.progress` stops
  /// it, `found.outcome` is `stopped` and what is half done is saved. An outcome of `not_converged` is not saved.
  /// Throws what `linearise` and the analysers throw.
  template <class Model>
  [[nodiscard]] block_spectrum operator()(Model& opt, const block_request& of, const token_list& text_tokens,
                                          const std::string& text = "text 0") const {
    const token_list tokens{text_tokens.begin(), text_tokens.begin() + static_cast<std::ptrdiff_t>(of.tokens)};
    block_spectrum result;
    result.of = of;
    if (load_done(tokens, result)) return result;
    with_picked(of, opt.shape().hidden, [&](const auto& picked, const std::string& reason) {
      using picked_type = std::remove_cvref_t<decltype(picked)>;
      if (of.block == block_kind::mlp) {
        analyse<picked_type, mlp_jacobian>(opt, tokens, text, result);
      } else {
        analyse<picked_type, attention_jacobian>(opt, tokens, text, result);
      }
      result.found.reason = reason;
      if (result.found.outcome == spectrum_outcome::complete) {
        save(of, tokens, ".done", std::string{picked_type::name}, result);
        detail::remove_part(settings_, of);
      }
    });
    return result;
  }

 private:
  using clock = std::chrono::steady_clock;

  /// Calls `use` with the analyser that does the work. Which one that is depends on the Jacobian in double.
  template <class Use>
  void with_picked(const block_request& of, std::size_t hidden, Use&& use) const {
    const operator_shape shape = jacobian_shape(of.block, of.tokens, hidden, sizeof(double));
    with_selected(make_analyser<Analyser>(settings_.analysis), shape, use);
  }

  [[nodiscard]] Directions directions_of(std::size_t hidden,
                                         std::function<bool(const analysis_progress&)> progress) const {
    typename Directions::settings chosen;
    static_cast<analysis_settings&>(chosen) = settings_.analysis;
    chosen.count = std::min(settings_.directions, hidden - 1);
    chosen.progress = std::move(progress);
    return Directions{chosen};
  }

  template <class Picked, template <class> class Jacobian, class Model>
  void analyse(Model& opt, const token_list& tokens, const std::string& text, block_spectrum& result) const {
    using scalar = typename Picked::scalar;
    {
      Jacobian<scalar> op{linearise<scalar>(opt, tokens, result.of.layer, 1, text)[0], opt.backend()};
      result.found = values_of<Picked>(op, result.of, tokens);
      if (result.found.outcome != spectrum_outcome::complete) return;
      if constexpr (requires { op.active(0); }) {
        for (std::size_t t = 0; t < op.tokens(); ++t) result.active.push_back(op.active(t));
      }
      if (settings_.directions == 0) return;
      if constexpr (std::same_as<scalar, typename Directions::scalar>) return find_directions(opt, op, tokens, result);
    }
    using other = typename Directions::scalar;
    Jacobian<other> op{linearise<other>(opt, tokens, result.of.layer, 1, text)[0], opt.backend()};
    find_directions(opt, op, tokens, result);
  }

  template <class Picked, class Op>
  [[nodiscard]] spectrum values_of(Op& op, const block_request& of, const token_list& tokens) const {
    automatic_settings own = settings_.analysis;
    if constexpr (resumable_analyser<Picked, Op>) {
      typename Picked::template state_of<typename Op::scalar> state;
      const std::string name{Picked::name};
      std::string analyser;
      if (!load(of, tokens, ".part", analyser, state) || analyser != name) state = {};
      bool saved = false;
      clock::time_point last = clock::now();
      own.progress = [&](const analysis_progress& now) {
        const bool keep_going = !settings_.analysis.progress || settings_.analysis.progress(now);
        const bool due = !saved || clock::now() - last > std::chrono::minutes{1};
        if (keep_going && due && state.worth_saving()) {
          save(of, tokens, ".part", name, state);
          saved = true;
          last = clock::now();
        }
        return keep_going;
      };
      spectrum found = make_analyser<Picked>(own)(op, &state);
      if (found.outcome == spectrum_outcome::stopped && state.worth_saving()) save(of, tokens, ".part", name, state);
      return found;
    } else {
      return make_analyser<Picked>(own)(op);
    }
  }

  template <class Model, class Op>
  void find_directions(Model& opt, Op& op, const token_list& tokens, block_spectrum& result) const {
    const auto progress = [this](const analysis_progress& now) {
      return !settings_.analysis.progress || settings_.analysis.progress({now.stage, 1});
    };
    const auto top = directions_of(op.width(), progress)(op);
    if (top.outcome == spectrum_outcome::stopped || top.lapack_info != 0) {
      result.found.outcome = top.outcome;
      result.found.note = top.note;
      return;
    }
    if (top.outcome != spectrum_outcome::complete) {
      for (const double each : top.residuals) result.residual = std::max(result.residual, each);
    }
    const std::size_t count = std::min(settings_.directions, op.width() - 1);
    result.writes = hidden_directions(top.left.view(), op.tokens(), count);
    result.reads = hidden_directions(top.right.view(), op.tokens(), count);
    detail::block_ends ends{.layer = result.of.layer, .block = result.of.block};
    opt.run({tokens}, ends);
    result.share_read = share_in<double>(result.reads.rows.view(), std::as_const(ends.input).view());
    result.share_written = share_in<double>(result.writes.rows.view(), std::as_const(ends.output).view());
  }

  template <class... Content>
  void save(const block_request& of, const token_list& tokens, const char* extension, const std::string& analyser,
            const Content&... content) const {
    if (settings_.folder.empty()) return;
    write_state(detail::state_file(settings_, of, extension), detail::description_of(settings_, of, tokens), analyser,
                content...);
  }
  /// A state of another run is not used.
  template <class... Content>
  [[nodiscard]] bool load(const block_request& of, const token_list& tokens, const char* extension,
                          std::string& analyser, Content&... content) const {
    if (settings_.folder.empty()) return false;
    try {
      const std::string description = detail::description_of(settings_, of, tokens);
      std::tuple<Content...> read;
      const bool present = std::apply(
          [&](auto&... each) {
            return read_state(detail::state_file(settings_, of, extension), description, analyser, each...);
          },
          read);
      if (present) std::apply([&](auto&... each) { (take(content, each), ...); }, read);
      return present;
    } catch (const bad_input& e) {
      if (settings_.warn) settings_.warn(std::string{e.what()} + "; computed anew");
      return false;
    }
  }
  template <class T>
  static void take(T& to, T& from) {
    to = std::move(from);
  }
  static void take(block_spectrum& to, block_spectrum& from) {
    from.of = to.of;
    to = std::move(from);
  }

  block_settings settings_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/block_analysis.ipp>
#endif

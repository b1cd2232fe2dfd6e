// SPDX-License-Identifier: MIT
#pragma once
// Patching sweeps: what a part of a clean run restores of the answer when it is put into a corrupted run.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/residual/logit_pairs.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// How a sweep is done, and what it is compared with.
struct patching_options {
  std::size_t random_pairs = 999;  ///< of tokens, a level of chance; 0: none
  std::size_t tokens = 0;          ///< random tokens are below this; 0: the model's vocabulary
  std::uint64_t seed = 1;          ///< of random tokens
  std::size_t at_once = 0;         ///< patches in a batch; 0: chosen by memory, at most 64
};

/// What patching each place does, d being logit(answer) - logit(instead) at the last position. A place is a layer and a
/// position, or a layer and a head.
struct patch_sweep {
  tensor<double, 2> effect;  ///< (layer, place): d(patched) - d(corrupted), in logits
  tensor<double, 2> share;   ///< (layer, place): effect / (d(clean) - d(corrupted)), the share restored
  tensor<double, 2> usual;   ///< (layer, place): root mean square of the effect on random pairs, as a share as well
  tensor<double, 2> p;       ///< (layer, place): of the effect, beside random pairs, corrected over the whole sweep
};

namespace detail {

/// A patch of a batch: rows from `first` on are run, and one position or all, one head or all, are patched.
struct patch_target {
  std::size_t first;
  std::optional<std::size_t> position, head;
};

/// Throws `bad_input` unless the prompts have the same number of tokens and differ, and the tokens are two of the
/// vocabulary. Returns the first position that differs.
[[nodiscard]] std::size_t checked_prompts(const architecture& shape, const token_list& clean,
                                          const token_list& corrupted, const logit_pair& pair);
/// Throws `bad_input` if the clean prompt does not prefer the answer more than the corrupted one does, by more than
/// rounding; `largest` is the largest of the logits.
void require_restorable(double clean, double corrupted, double largest);

/// Patches that are run together: their keys and values take at most 256 MB.
[[nodiscard]] std::size_t patches_at_once(const architecture& shape, std::size_t tokens, std::size_t scalar_size,
                                          const patching_options& how);

/// `effects` (layer, place), (pair, layer x place) of random ones, and the difference of the prompts to a result.
[[nodiscard]] patch_sweep sweep_of(tensor<double, 2> effect, tensor_view<const double, 2> random, double difference);

template <class T>
[[nodiscard]] double difference_of(std::span<const T> logits, const logit_pair& pair) {
  const auto of = [&](token_id token) { return static_cast<double>(logits[static_cast<std::size_t>(token)]); };
  return of(pair.answer) - (pair.instead ? of(*pair.instead) : 0);
}

template <class T, class List>
struct capture_of_list;
template <class T, class... Sites>
struct capture_of_list<T, site_list<Sites...>> {
  using type = basic_capture<T, Sites...>;
};

/// An editor: puts the clean run's vectors into a layer of texts that are copies of the corrupted one.
template <class T, class Site>
class patched_places {
 public:
  using sites = site_list<Site>;
  /// `clean` is (position, ...).
  patched_places(std::size_t layer, tensor_view<const T, Site::rank> clean, std::span<const patch_target> targets)
      : layer_{layer}, clean_{clean}, targets_{targets} {}

  [[nodiscard]] bool wants(Site, std::size_t layer) const { return layer == layer_; }
  [[nodiscard]] std::size_t first_wanted(std::size_t) const { return clean_.rows() - 1; }
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    std::vector<std::size_t> result;
    const auto& position = targets_[at.text].position;
    for (std::size_t row = 0; row < count; ++row) {
      if (!position || at.first_position + row == *position) result.push_back(row);
    }
    return result;
  }
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) const {
    const auto& head = targets_[at.text].head;
    for (const std::size_t row : rows(Site{}, at, view.rows())) {
      std::span<T> to = view.row(row);
      std::span<const T> from = clean_.row(at.first_position + row).first(to.size());  // a layer may have fewer heads
      if (head) {
        const std::size_t width = view.extent(Site::rank - 1);
        if (*head * width >= to.size()) continue;
        to = to.subspan(*head * width, width);
        from = from.subspan(*head * width, width);
      }
      std::ranges::copy(from, to.begin());
    }
  }

 private:
  std::size_t layer_;
  tensor_view<const T, Site::rank> clean_;
  std::span<const patch_target> targets_;
};

}  // namespace detail

/// The sites that `patching` keeps of the two runs by default.
using patching_sites = site_list<site::resid_pre, site::attn_out, site::mlp_out, site::z>;

/// Two prompts with the same number of tokens, one for which the model prefers the answer and one for which it does
/// not, and what each part of the clean run restores of the answer when it replaces the same part of the corrupted run
/// (activation patching: Vig et al. 2020; Meng et al. 2022).
///
///     patching sweep{opt, words.encode(clean), words.encode(corrupted), {.answer = john, .instead = mary}};
///     const patch_sweep stream = sweep.by_position(site::resid_pre{});  // share(layer, position)
///     const patch_sweep heads = sweep.by_head(site::z{});               // share(layer, head)
///
/// Effects are those of whole runs with that part replaced, to the bit, but only what a patch can change is computed:
/// from its layer on, from its position on (keys and values before it are those of the corrupted run), several patches
/// a batch. Positions before the first token that differs are equal in both runs; there the effect is exactly 0.
///
/// Beside each effect is what the same patch does to random pairs of tokens. Memory: the sites of two runs, 256 MB, and
/// 8 bytes for every random pair and place.
template <class Model, class Sites = patching_sites>
class patching {
 public:
  using T = typename Model::scalar;
  using capture_type = typename detail::capture_of_list<T, Sites>::type;

  /// Runs both prompts. Throws `bad_input` for prompts of different numbers of tokens, equal ones, an `instead` that is
  /// the answer, a clean prompt that does not prefer the answer more than the corrupted one does, and as `run` does.
  patching(Model& opt, token_list clean, token_list corrupted, logit_pair pair, const patching_options& how = {})
      : opt_{opt},
        corrupted_text_{std::move(corrupted)},
        pair_{pair},
        first_{detail::checked_prompts(opt.shape(), clean, corrupted_text_, pair)},
        at_once_{detail::patches_at_once(opt.shape(), clean.size(), sizeof(T), how)},
        random_{random_logit_pairs(how.random_pairs, how.tokens == 0 ? opt.shape().vocabulary : how.tokens,
                                   pair.instead.has_value(), how.seed)} {
    last_stream last = end_of_run();
    opt_.run({std::move(clean)}, clean_, last);
    const tensor<T, 2> clean_logits = logits_of(last);
    opt_.run({corrupted_text_}, cache_, corrupted_, before_, last);
    logits_ = logits_of(last);
    clean_difference_ = detail::difference_of<T>(clean_logits.row(0), pair_);
    corrupted_difference_ = detail::difference_of<T>(logits_.row(0), pair_);
    for (const logit_pair& each : random_) {
      const double change =
          detail::difference_of<T>(clean_logits.row(0), each) - detail::difference_of<T>(logits_.row(0), each);
      usual_difference_ += change * change / static_cast<double>(random_.size());
    }
    usual_difference_ = std::sqrt(usual_difference_);
    double largest = 0;
    for (const tensor<T, 2>* each : {&clean_logits, &std::as_const(logits_)}) {
      largest = std::max(largest, std::abs(detail::difference_of<T>(each->row(0), {.answer = pair_.answer})));
      if (!pair_.instead) continue;
      largest = std::max(largest, std::abs(detail::difference_of<T>(each->row(0), {.answer = *pair_.instead})));
    }
    detail::require_restorable(clean_difference_, corrupted_difference_, largest);
  }

  [[nodiscard]] double clean_difference() const noexcept { return clean_difference_; }
  [[nodiscard]] double corrupted_difference() const noexcept { return corrupted_difference_; }
  /// Root mean square, over the random pairs, of how much d differs between the prompts.
  [[nodiscard]] double usual_difference() const noexcept { return usual_difference_; }
  /// The first position at which the prompts have different tokens.
  [[nodiscard]] std::size_t first_difference() const noexcept { return first_; }
  /// What the runs had at `Sites`.
  [[nodiscard]] const capture_type& clean() const noexcept { return clean_; }
  [[nodiscard]] const capture_type& corrupted() const noexcept { return corrupted_; }

  /// `report(done, all)` is called after each batch of a sweep: patches.
  void on_progress(std::function<void(std::size_t, std::size_t)> report) { report_ = std::move(report); }

  /// Patches each layer and position by itself: places are positions. Costs about half of layers x positions runs over
  /// half of the prompt.
  template <class Site>
  [[nodiscard]] patch_sweep by_position(Site) {
    std::vector<detail::patch_target> targets;
    for (std::size_t at = first_; at < corrupted_text_.size(); ++at) {
      targets.push_back({.first = at, .position = at, .head = {}});
    }
    return sweep<Site>(targets, corrupted_text_.size(), first_);
  }

  /// Patches each head by itself, at all positions at once: places are heads. `Site` is laid out by head: z, q, k or v.
  template <class Site = site::z>
  [[nodiscard]] patch_sweep by_head(Site = {}) {
    static_assert(Site::rank == 3, "by_head needs a site with an axis of heads: z, q, k, v or result");
    std::vector<detail::patch_target> targets;
    for (std::size_t head = 0; head < opt_.shape().heads; ++head) {
      targets.push_back({.first = first_, .position = {}, .head = head});
    }
    return sweep<Site>(targets, opt_.shape().heads, 0);
  }

  /// For attribution patching: the gradients of d at `Sites` in the corrupted run, by one backward pass.
  ///
  ///     const auto slope = sweep.gradients(gradient_pass{opt});  // of units/
  ///     const tensor<double, 2> estimate = sweep.estimate_by_position(site::resid_pre{}, slope);
  template <class Gradients>
  [[nodiscard]] capture_type gradients(Gradients&& pass) const {
    capture_type slope;
    pass.run(
        {corrupted_text_},
        [&](std::size_t, tensor_view<T, 2> logits) {
          for (std::size_t i = 0; i < logits.rows(); ++i) std::ranges::fill(logits.row(i), T{0});
          logits(logits.rows() - 1, static_cast<std::size_t>(pair_.answer)) = 1;
          if (pair_.instead) logits(logits.rows() - 1, static_cast<std::size_t>(*pair_.instead)) = -1;
        },
        slope);
    return slope;
  }

  /// The first-order estimate of the shares that `by_position` measures, (clean - corrupted) · gradient over the
  /// difference (Nanda 2023; Syed et al. 2023): (layer, position).
  template <class Site>
  [[nodiscard]] tensor<double, 2> estimate_by_position(Site, const capture_type& slope) const {
    return estimate<Site>(slope, corrupted_text_.size(), [](std::size_t position, std::size_t) { return position; });
  }
  /// The same of `by_head`: (layer, head).
  template <class Site = site::z>
  [[nodiscard]] tensor<double, 2> estimate_by_head(Site, const capture_type& slope) const {
    static_assert(Site::rank == 3, "estimate_by_head needs a site with an axis of heads: z, q, k, v or result");
    const std::size_t width = clean_(Site{}, 0).extent(2);
    return estimate<Site>(slope, opt_.shape().heads, [width](std::size_t, std::size_t i) { return i / width; });
  }

 private:
  using last_stream = basic_capture<T, site::resid_post>;
  using cache_type = typename Model::cache_type;

  [[nodiscard]] last_stream end_of_run() const {
    last_stream result{positions::last()};
    result.only_layers({opt_.layers() - 1});
    return result;
  }
  [[nodiscard]] tensor<T, 2> logits_of(const last_stream& last) {
    return opt_.logits_of(last(site::resid_post{}, opt_.layers() - 1));
  }

  /// `shift`: the place of the first target.
  template <class Site>
  patch_sweep sweep(std::span<const detail::patch_target> targets, std::size_t places, std::size_t shift) {
    static_assert(Sites::template contains<Site>, "patching<Model, site_list<...>>: list the site to keep it");
    static_assert(Site::per_layer && Site::layout == site_layout::position,
                  "patches are of sites with a layer, laid out by position");
    tensor<double, 2> effect{{opt_.layers(), places}};
    tensor<double, 2> random{{random_.size(), effect.size()}};
    for (std::size_t begin = 0; begin < targets.size(); begin += at_once_) {
      const auto group = targets.subspan(begin, std::min(at_once_, targets.size() - begin));
      cache_type cache = copies_of_cache(group.size());
      for (std::size_t layer = 0; layer < opt_.layers(); ++layer) {
        const tensor<T, 2> logits = patched<Site>(layer, group, cache);
        for (std::size_t i = 0; i < group.size(); ++i) {
          const std::size_t place = shift + begin + i;
          const auto change = [&](const logit_pair& pair) {
            return detail::difference_of<T>(logits.row(i), pair) - detail::difference_of<T>(logits_.row(0), pair);
          };
          effect(layer, place) = change(pair_);
          for (std::size_t pair = 0; pair < random_.size(); ++pair) {
            random(pair, layer * places + place) = change(random_[pair]);
          }
        }
        if (report_) report_(begin * opt_.layers() + group.size() * (layer + 1), targets.size() * opt_.layers());
      }
    }
    return detail::sweep_of(std::move(effect), random, clean_difference_ - corrupted_difference_);
  }

  /// Logits (patch, vocabulary) after the last token. Positions before a target's first one are never changed in the
  /// cache, so that it serves every layer.
  template <class Site>
  tensor<T, 2> patched(std::size_t layer, std::span<const detail::patch_target> targets, cache_type& cache) {
    const std::size_t tokens = corrupted_text_.size();
    const tensor_view<const T, 2> stream = before_(site::resid_pre{}, layer);
    token_batch texts;
    std::vector<T> rows;
    for (const detail::patch_target& target : targets) {
      texts.emplace_back(corrupted_text_.begin() + static_cast<std::ptrdiff_t>(target.first), corrupted_text_.end());
      for (std::size_t at = target.first; at < tokens; ++at) {
        rows.insert(rows.end(), stream.row(at).begin(), stream.row(at).end());
      }
    }
    detail::patched_places<T, Site> editor{layer, clean_(Site{}, layer), targets};
    last_stream last = end_of_run();
    const std::size_t hidden = opt_.shape().hidden;
    opt_.run_from(layer, tensor_view<const T, 2>{rows.data(), {rows.size() / hidden, hidden}}, texts, cache, editor,
                  last);
    return logits_of(last);
  }

  /// The keys and values of the corrupted run, for several texts that are copies of it.
  cache_type copies_of_cache(std::size_t texts) {
    cache_type result{opt_.shape(), texts};
    for (std::size_t text = 0; text < texts; ++text) {
      result.make_room(opt_.backend(), text, corrupted_text_.size());
      for (std::size_t layer = 0; layer < opt_.layers(); ++layer) {
        result.append(opt_.backend(), layer, text, cache_.keys(layer, 0), cache_.values(layer, 0));
      }
      result.advance(text, corrupted_text_.size());
    }
    return result;
  }

  template <class Site, class PlaceOf>
  tensor<double, 2> estimate(const capture_type& slope, std::size_t places, PlaceOf place_of) const {
    tensor<double, 2> result{{opt_.layers(), places}};
    const double difference = clean_difference_ - corrupted_difference_;
    for (std::size_t layer = 0; layer < opt_.layers(); ++layer) {
      const auto a = clean_(Site{}, layer), b = corrupted_(Site{}, layer), g = slope(Site{}, layer);
      for (std::size_t position = first_; position < a.rows(); ++position) {
        const auto clean = a.row(position), corrupted = b.row(position), gradient = g.row(position);
        for (std::size_t i = 0; i < clean.size(); ++i) {
          const double change = static_cast<double>(clean[i]) - static_cast<double>(corrupted[i]);
          result(layer, place_of(position, i)) += change * static_cast<double>(gradient[i]) / difference;
        }
      }
    }
    return result;
  }

  Model& opt_;
  token_list corrupted_text_;
  logit_pair pair_;
  std::size_t first_, at_once_;
  std::vector<logit_pair> random_;
  capture_type clean_, corrupted_;
  basic_capture<T, site::resid_pre> before_;  // the stream of the corrupted run
  cache_type cache_;                          // keys and values of the corrupted run
  tensor<T, 2> logits_;                       // (1, vocabulary) of the corrupted run, after the last token
  double clean_difference_ = 0, corrupted_difference_ = 0, usual_difference_ = 0;
  std::function<void(std::size_t, std::size_t)> report_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/patching.ipp>
#endif

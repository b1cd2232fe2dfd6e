// SPDX-License-Identifier: MIT
#pragma once
// Observers that keep no activations: a statistic of every unit of a site, taken on as texts pass.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/positions.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// A number that a file has as a count or an index; throws `bad_input` on anything else.
[[nodiscard]] inline std::size_t saved_count(double value) {
  constexpr double most = 9007199254740992;  // 2^53: all below are exact
  if (!(value >= 0 && value < most)) throw bad_input{"", "saved statistics", "a count", std::to_string(value)};
  return static_cast<std::size_t>(value);
}
}  // namespace detail

/// A statistic of vectors: `start(width)` once, `add(vector, text, position)` for each, allocating nothing;
/// `merge(other)` as if those of the other had been added too; `reset()` as if none had been. `for_each_tensor(action)`
/// calls `action(name, shape, span<const double>)` with what a file is to hold; behind `start`, `restore(values_of)`
/// takes it back, `values_of(name, shape)` giving the tensor's numbers, an extent of 0 standing for any.
template <class A>
concept running_statistic = std::copyable<A> && requires(A statistic, const A& other, std::span<const float> vector) {
  statistic.start(std::size_t{});
  statistic.add(vector, std::size_t{}, std::size_t{});
  statistic.merge(other);
  statistic.reset();
};

/// Takes on a statistic of the chosen positions of `Sites`, layer by layer, over any number of runs:
///
///     running<running_moments, site::mlp_post> neurons;
///     for (const token_batch& texts : batches) opt.run(texts, neurons);
///     neurons(site::mlp_post{}, 3).mean();                      // (unit)
///     neurons.save<safetensors_writer>("neurons.safetensors");  // F64 tensors SITE.LAYER.NAME
///     of_another_process.load(read_safetensors("others.safetensors"), opt.shape());
///     neurons.merge(of_another_process);
///
/// Units of sites with heads are (head, unit), head by head. Texts are counted over the runs: those of the second
/// follow those of the first; the steps of a generation are of the same texts.
template <running_statistic Statistic, class... Sites>
class running {
  static_assert(((Sites::layout == site_layout::position) && ...), "this site has no units: its rows are keys");

 public:
  using sites = site_list<Sites...>;

  explicit running(Statistic empty = Statistic{}, positions which = positions::all())
      : empty_{std::move(empty)}, positions_{std::move(which)} {}

  /// Leaves out other layers; sites without a layer stay.
  running& only_layers(std::vector<std::size_t> layers) {
    layers_ = std::move(layers);
    return *this;
  }
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return !Site::per_layer || !layers_ || std::ranges::count(*layers_, layer) != 0;
  }

  /// Throws `bad_input` if the run is one of another model than those before.
  void begin(const run_plan& plan) {
    if (!shape_) {
      shape_ = plan.shape;
      (start<Sites>(), ...);
    } else if (*shape_ != plan.shape) {
      throw bad_input{"", "running statistics", "runs of one model", "another shape than before"};
    }
    if (!plan.continues) first_text_ = next_text_;
    next_text_ = first_text_ + plan.lengths.size();
    rows_.clear();
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
      rows_.push_back(positions_.of(plan.total(text)));
      std::erase_if(rows_[text], [&](std::size_t position) { return position < plan.first_position(text); });
    }
  }
  template <class Site, class T>
  void operator()(Site, const place& at, tensor_view<const T, Site::rank> view) {
    Statistic& statistic = of<Site>()[at.layer];
    for (const std::size_t position : rows_[at.text]) {
      if (position < at.first_position || position - at.first_position >= view.rows()) continue;
      statistic.add(view.row(position - at.first_position), first_text_ + at.text, position);
    }
  }

  /// The statistic of a site and layer.
  template <class Site>
  [[nodiscard]] const Statistic& operator()(Site, std::size_t layer = 0) const {
    static_assert(sites::template contains<Site>, "these statistics were not declared with that site");
    return store_[index_of<Site>()].at(layer);
  }

  /// Forgets all that passed.
  void reset() {
    for (std::vector<Statistic>& layers : store_) {
      for (Statistic& each : layers) each.reset();
    }
    first_text_ = next_text_ = 0;
  }
  /// As if what passed the other had passed here, its texts behind these. Throws `bad_input` if they are of another
  /// model.
  void merge(const running& other) {
    if (!other.shape_) return;
    if (!shape_) {
      shape_ = other.shape_;
      (start<Sites>(), ...);
    }
    if (*shape_ != *other.shape_) {
      throw bad_input{"", "running statistics", "others of the same model", "another shape"};
    }
    for (std::size_t site = 0; site < store_.size(); ++site) {
      for (std::size_t layer = 0; layer < store_[site].size(); ++layer) {
        Statistic theirs = other.store_[site][layer];
        if constexpr (requires { theirs.shift_texts(next_text_); }) theirs.shift_texts(next_text_);
        store_[site][layer].merge(theirs);
      }
    }
    next_text_ += other.next_text_;
  }
  [[nodiscard]] std::size_t texts() const noexcept { return next_text_; }

  /// Writes F64 tensors `SITE.LAYER.NAME`, `SITE.NAME` for sites without a layer, with a writer such as
  /// `safetensors_writer`.
  template <class Writer>
  void save(const std::filesystem::path& path) const {
    std::vector<typename Writer::item_type> items;
    for_each_tensor([&](const std::string& name, std::vector<std::size_t> shape, std::span<const double>) {
      typename Writer::item_type item{name, std::move(shape)};
      item.type = Writer::template type_of<double>;
      items.push_back(std::move(item));
    });
    Writer writer{path, std::move(items)};
    for_each_tensor([&](const std::string&, const std::vector<std::size_t>&, std::span<const double> values) {
      writer.append(values);
    });
    writer.commit();
  }
  /// What was saved, in place of all that passed here; sums to rounding, quantiles and largest values as they were.
  /// `table` is what a reader such as `read_safetensors` gives. Throws `bad_input` if a tensor is missing or another
  /// shape than these statistics have with a model of this `shape`; nothing has changed then.
  template <class Table>
  void load(const Table& table, const architecture& shape) {
    running result = *this;
    result.shape_ = shape;
    (result.template start<Sites>(), ...);
    const auto values_of = [&](const std::string& name, const std::vector<std::size_t>& expected) {
      const auto found = table.tensors.find(name);
      if (found == table.tensors.end()) throw bad_input{"", "tensor " + name, "saved statistics", "no such tensor"};
      const std::vector<std::size_t>& extents = found->second.shape();
      const bool fits = std::ranges::equal(
          extents, expected, [](std::size_t is, std::size_t wanted) { return wanted == 0 || is == wanted; });
      if (!fits) throw bad_input{"", "tensor " + name, "the shape of these statistics", "another"};
      std::vector<double> values(found->second.size());
      found->second.copy_to(values.data());
      return values;
    };
    result.first_text_ = result.next_text_ = detail::saved_count(values_of("texts", {1})[0]);
    result.for_each_statistic([&](const std::string& name, Statistic& statistic) {
      statistic.restore(
          [&](const char* part, const std::vector<std::size_t>& expected) { return values_of(name + part, expected); });
    });
    *this = std::move(result);
  }
  /// Calls `action(name, shape, span<const double>)` for all that `save` writes.
  template <class Action>
  void for_each_tensor(Action&& action) const {
    const auto texts = static_cast<double>(next_text_);
    action("texts", std::vector<std::size_t>{1}, std::span<const double>{&texts, 1});
    for_each_statistic([&](const std::string& name, const Statistic& statistic) {
      statistic.for_each_tensor([&](const char* part, std::vector<std::size_t> shape, const auto& values) {
        action(name + part, std::move(shape), std::span<const double>{values});
      });
    });
  }

 private:
  template <class Self, class Action>
  static void each_statistic(Self& self, Action& action) {
    sites::for_each([&]<class Site>(Site site) {
      for (std::size_t layer = 0; layer < self.store_[index_of<Site>()].size(); ++layer) {
        if (!self.wants(site, layer)) continue;
        const std::string name =
            std::string{Site::name} + "." + (Site::per_layer ? std::to_string(layer) + "." : std::string{});
        action(name, self.store_[index_of<Site>()][layer]);
      }
    });
  }
  /// Calls `action(SITE.LAYER., statistic)`.
  template <class Action>
  void for_each_statistic(Action&& action) const {
    each_statistic(*this, action);
  }
  template <class Action>
  void for_each_statistic(Action&& action) {
    each_statistic(*this, action);
  }
  template <class Site>
  static constexpr std::size_t index_of() {
    std::size_t index = 0;
    for (const bool same : {std::is_same_v<Site, Sites>...}) {
      if (same) return index;
      ++index;
    }
    return index;
  }
  template <class Site>
  std::vector<Statistic>& of() {
    return store_[index_of<Site>()];
  }
  template <class Site>
  void start() {
    const auto inner = inner_shape(Site{}, *shape_);
    of<Site>().assign(Site::per_layer ? shape_->layers : 1, empty_);
    for (std::size_t layer = 0; layer < of<Site>().size(); ++layer) {
      if (wants(Site{}, layer)) of<Site>()[layer].start(inner[0] * inner[1]);
    }
  }

  Statistic empty_;
  positions positions_;
  std::optional<std::vector<std::size_t>> layers_;
  std::optional<architecture> shape_;
  std::vector<std::vector<std::size_t>> rows_;                  // [text]: positions of this run
  std::array<std::vector<Statistic>, sizeof...(Sites)> store_;  // [site][layer]
  std::size_t first_text_ = 0, next_text_ = 0;
};

}  // namespace optscope

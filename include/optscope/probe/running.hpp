// SPDX-License-Identifier: MIT
#pragma once
// Observers that keep no activations: a statistic of every unit of a site, updated while texts pass.

#include <array>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/probe/running_runs.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A statistic of vectors of `T`, the scalar of the model. `start(width)` is called once, then `add(vector, text,
/// position)` for each vector. `merge(other)` gives what adding the vectors of both would give, `reset()` what none
/// would.
///
///     struct running_sum {
///       std::vector<double> sum;
///       void start(std::size_t width) { sum.assign(width, 0); }
///       void add(std::span<const float> x, std::size_t text, std::size_t position) {
///         for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
///       }
///       void merge(const running_sum& other) {
///         for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other.sum[i];
///       }
///       void reset() { start(sum.size()); }
///     };
///
/// A statistic that keeps numbers of texts has `shift_texts(std::size_t by)`, too: `running::merge` calls it on a copy
/// of the other statistic, whose texts follow those of this one.
template <class A, class T = float>
concept running_statistic = std::copyable<A> && requires(A& statistic, const A& other, std::span<const T> vector) {
  statistic.start(std::size_t{});
  statistic.add(vector, std::size_t{}, std::size_t{});
  statistic.merge(other);
  statistic.reset();
};

/// A statistic that can be saved and loaded: `for_each_tensor(action)` calls `action(name, shape, values)` for each
/// tensor that a file is to hold; after `start`, `restore(source)` reads them with `source(name, shape)`.
template <class A>
concept saved_statistic =
    requires(A& statistic, const A& saved, const tensor_action& action, const tensor_source& source) {
      saved.for_each_tensor(action);
      statistic.restore(source);
    };

/// Updates a statistic of the chosen positions of `Sites`, layer by layer, over any number of runs:
///
///     running<running_moments, site::mlp_post> neurons;
///     for (const token_batch& texts : batches) opt.run(texts, neurons);
///     neurons(site::mlp_post{}, 3).mean();                      // (unit)
///     neurons.save<safetensors_writer>("neurons.safetensors");  // F64 tensors SITE.LAYER.NAME
///     of_another_process.load(read_safetensors("others.safetensors"), opt.shape());
///     neurons.merge(of_another_process);
///
/// Units of sites with heads are (head, unit), head by head. Texts are numbered over all runs: those of the second run
/// follow those of the first; the steps of a generation are of the same texts.
template <class Statistic, class... Sites>
  requires std::copyable<Statistic>
class running {
  static_assert(((Sites::layout == site_layout::position) && ...), "this site has no units: its rows are keys");

 public:
  using sites = site_list<Sites...>;

  explicit running(Statistic empty = Statistic{}, positions which = positions::all())
      : empty_{std::move(empty)}, runs_{std::move(which)} {}

  /// Leaves out other layers; sites without a layer stay.
  running& only_layers(std::vector<std::size_t> layers) {
    runs_.only_layers(std::move(layers));
    return *this;
  }
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return runs_.wants(Site::info, layer);
  }

  /// Throws `bad_input` if the model of the run has another shape than that of earlier runs.
  void begin(const run_plan& plan) {
    const bool first = !runs_.shape();
    runs_.begin(plan);
    if (first) start();
  }
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    return detail::rows_among(runs_.rows(at.text), at.first_position, count);
  }
  template <class Site, class T>
  void operator()(Site, const place& at, tensor_view<const T, Site::rank> view) {
    static_assert(running_statistic<Statistic, T>,
                  "a running statistic has start(width), add(vector of the model's scalar, text, position), "
                  "merge(other) and reset()");
    Statistic& statistic = store_[index<Site>()][at.layer];
    const std::size_t text = runs_.number_of(at.text);
    for (const std::size_t position : runs_.rows(at.text)) {
      if (position < at.first_position || position - at.first_position >= view.rows()) continue;
      statistic.add(view.row(position - at.first_position), text, position);
    }
  }

  /// The statistic of a site and layer. Throws `bad_input` before the first run, for a layer beyond the model, and for
  /// one that `only_layers` left out.
  template <class Site>
  [[nodiscard]] const Statistic& operator()(Site, std::size_t layer = 0) const {
    runs_.check_kept(Site::info, layer);
    return store_[index<Site>()][layer];
  }
  /// Layers of the model, 1 for sites without layers; 0 before the first run.
  template <class Site>
  [[nodiscard]] std::size_t layers(Site) const {
    return store_[index<Site>()].size();
  }
  /// Whether there is a statistic of a site and layer.
  template <class Site>
  [[nodiscard]] bool keeps(Site site, std::size_t layer) const {
    return layer < layers(site) && runs_.wants(Site::info, layer);
  }

  /// Forgets everything that has passed.
  void reset() {
    for (std::vector<Statistic>& layers : store_) {
      for (Statistic& each : layers) each.reset();
    }
    runs_.set_texts(0);
  }
  /// Gives what passing the other's texts here, after the texts of these runs, would give. Throws `bad_input` if the
  /// other has seen a model of another shape.
  void merge(const running& other) {
    if (!other.runs_.shape()) return;
    const bool first = !runs_.shape();
    runs_.set_shape(*other.runs_.shape());
    if (first) start();
    for (std::size_t site = 0; site < store_.size(); ++site) {
      for (std::size_t layer = 0; layer < store_[site].size(); ++layer) {
        Statistic theirs = other.store_[site][layer];
        if constexpr (requires { theirs.shift_texts(std::size_t{}); }) theirs.shift_texts(runs_.texts());
        store_[site][layer].merge(theirs);
      }
    }
    runs_.add_texts(other.runs_.texts());
  }
  /// Number of texts that have passed.
  [[nodiscard]] std::size_t texts() const noexcept { return runs_.texts(); }

  /// Writes F64 tensors `SITE.LAYER.NAME`, `SITE.NAME` for sites without a layer, with a writer such as
  /// `safetensors_writer`, whose errors it throws.
  template <tensor_writer<double> Writer>
    requires saved_statistic<Statistic>
  void save(const std::filesystem::path& path) const {
    std::vector<typename Writer::item_type> items;
    for_each_tensor([&](const std::string& name, const std::vector<std::size_t>& shape, std::span<const double>) {
      items.push_back(typename Writer::item_type{name, shape, dtype::f64});
    });
    Writer writer{path, std::move(items), std::map<std::string, std::string>{{"format", "pt"}}};
    for_each_tensor([&](const std::string&, const std::vector<std::size_t>&, std::span<const double> values) {
      writer.append(values);
    });
    writer.commit();
  }
  /// Replaces everything that has passed here by what was saved: sums to rounding, quantiles and largest values as they
  /// were. `table` is what a reader such as `read_safetensors` gives. Throws `bad_input` if a tensor is missing or does
  /// not have the shape that these statistics have in a model of this `shape`; nothing has changed then.
  template <tensor_reader Table>
    requires saved_statistic<Statistic>
  void load(const Table& table, const architecture& shape) {
    running result{empty_, *this, shape};
    const tensor_source source = [&](const std::string& name, const std::vector<std::size_t>& expected) {
      const auto found = table.tensors.find(name);
      if (found == table.tensors.end()) detail::refuse_missing_tensor(name);
      detail::require_saved_shape(name, found->second.shape(), expected);
      std::vector<double> values(found->second.size());
      found->second.copy_to(values.data());
      return values;
    };
    result.runs_.set_texts(detail::saved_count(source("texts", {1})[0]));
    result.for_each_statistic([&](const std::string& prefix, std::size_t site, std::size_t layer) {
      result.store_[site][layer].restore([&](const std::string& name, const std::vector<std::size_t>& expected) {
        return source(prefix + name, expected);
      });
    });
    *this = std::move(result);
  }
  /// Calls `action(name, shape, values)` for everything that `save` writes.
  void for_each_tensor(const tensor_action& action) const
    requires saved_statistic<Statistic>
  {
    const auto texts = static_cast<double>(runs_.texts());
    action("texts", {1}, {&texts, 1});
    for_each_statistic([&](const std::string& prefix, std::size_t site, std::size_t layer) {
      store_[site][layer].for_each_tensor(
          [&](const std::string& name, const std::vector<std::size_t>& shape, std::span<const double> values) {
            action(prefix + name, shape, values);
          });
    });
  }

 private:
  template <class Site>
  static constexpr std::size_t index() {
    static_assert(sites::template contains<Site>, "these statistics were not declared with that site");
    return sites::template index<Site>;
  }

  /// As `other`, but of a model of this shape of which nothing has passed.
  running(const Statistic& empty, const running& other, const architecture& shape) : empty_{empty}, runs_{other.runs_} {
    runs_.replace_shape(shape);
    start();
  }

  /// Calls `action(prefix, site, layer)` for each statistic that is wanted; `prefix` is `SITE.LAYER.` or `SITE.`.
  template <class Action>
  void for_each_statistic(Action&& action) const {
    for (std::size_t site = 0; site < sites::size; ++site) {
      for (std::size_t layer = 0; layer < store_[site].size(); ++layer) {
        const site_info& info = *sites::infos[site];
        if (runs_.wants(info, layer)) action(name_of(info, layer) + ".", site, layer);
      }
    }
  }
  void start() {
    for (std::size_t site = 0; site < sites::size; ++site) {
      const site_info& info = *sites::infos[site];
      const auto inner = inner_shape(info, *runs_.shape());
      store_[site].assign(info.per_layer() ? runs_.shape()->layers : 1, empty_);
      for (std::size_t layer = 0; layer < store_[site].size(); ++layer) {
        if (runs_.wants(info, layer)) store_[site][layer].start(inner[0] * inner[1]);
      }
    }
  }

  Statistic empty_;
  detail::running_runs runs_;
  std::array<std::vector<Statistic>, sizeof...(Sites)> store_;  // [site][layer]
};

}  // namespace optscope

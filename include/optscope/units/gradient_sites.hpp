// SPDX-License-Identifier: MIT
#pragma once
// Where a backward pass has gradients, and who is shown them.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/units/units.hpp>
#include <tuple>
#include <type_traits>
#include <vector>

namespace optscope {

/// The sites at which there are gradients: all but what the LayerNorms divide by.
using gradient_sites =
    site_list<site::embed, site::pos_embed, site::resid_pre, site::ln1, site::q, site::k, site::v, site::scores,
              site::pattern, site::z, site::result, site::attn_out, site::resid_mid, site::ln2, site::mlp_pre,
              site::mlp_post, site::mlp_out, site::resid_post, site::ln_final, site::logits>;

namespace detail {

/// Those of a layer that the gradient of `z` has to go through attention for.
using gradient_sites_before_z =
    site_list<site::pattern, site::scores, site::v, site::k, site::q, site::ln1, site::resid_pre>;
using gradient_sites_of_layers =
    joined_sites<gradient_sites_before_z,
                 site_list<site::z, site::result, site::attn_out, site::resid_mid, site::ln2, site::mlp_pre,
                           site::mlp_post, site::mlp_out, site::resid_post>>::type;

/// A compile error that says what is wrong, if gradients cannot be shown to the probe.
template <class Probe, class T>
constexpr void check_gradient_probe() {
  Probe::sites::for_each([]<class Site>(Site) {
    static_assert(gradient_sites::contains<Site>,
                  "there are no gradients at this site: gradient_sites lists the others");
    static_assert(!edits_site<Probe, Site, T>, "gradients are shown to observers, not to editors");
  });
}

/// Shows gradients to probes as a run shows activations, text by text.
template <class T, class... Probes>
class gradient_probes {
 public:
  explicit gradient_probes(const std::vector<std::size_t>& first_row, Probes&... probes)
      : first_row_{first_row}, probes_{probes...} {}

  template <class Site>
  [[nodiscard]] bool wants(std::size_t layer) const {
    return std::apply([&](auto&... probes) { return (optscope::wants<Site>(probes, layer) || ...); }, probes_);
  }
  /// Rows of all texts: (row, elements).
  template <class Site>
  void rows(Site, std::size_t layer, const architecture& shape, tensor_view<const T, 2> all) {
    if (!wants<Site>(layer)) return;
    for (std::size_t text = 0; text + 1 < first_row_.size(); ++text) {
      const std::size_t count = first_row_[text + 1] - first_row_[text];
      const auto inner = inner_shape(Site{}, shape);
      show(Site{}, layer, text, all.slice(first_row_[text], count).template reshape<3>({count, inner[0], inner[1]}));
    }
  }
  /// One text, three axes.
  template <class Site>
  void show(Site, std::size_t layer, std::size_t text, tensor_view<const T, 3> view) {
    const place at{.text = text, .layer = layer, .first_position = 0};
    const auto one = [&](auto& probe) {
      if constexpr (lists_site<decltype(probe), Site>) {
        if (optscope::wants<Site>(probe, layer)) probe(Site{}, at, axes_of<Site>(view));
      }
    };
    std::apply([&](auto&... probes) { (one(probes), ...); }, probes_);
  }

 private:
  const std::vector<std::size_t>& first_row_;
  std::tuple<Probes&...> probes_;
};

/// Shows the gradients of neurons and heads of all texts together, as `gradient_pass::operator()` says.
template <class T, class Record, class See>
class gradient_units {
 public:
  gradient_units(const Record& run, See& see) : run_{run}, see_{see} {}

  template <class Site>
  [[nodiscard]] bool wants(std::size_t) const {
    return std::is_same_v<Site, site::z> || std::is_same_v<Site, site::mlp_post>;
  }
  template <class Site>
  void rows(Site, std::size_t layer, const architecture&, tensor_view<const T, 2> all) {
    if constexpr (std::is_same_v<Site, site::mlp_post>) {
      see_(unit_kind::neuron, layer, run_(Site{}, layer), all);
    } else if constexpr (std::is_same_v<Site, site::z>) {
      const tensor_view<const T, 3> z = run_(Site{}, layer);
      see_(unit_kind::head, layer, z.template reshape<2>({z.rows(), z.cols()}), all);
    }
  }
  template <class Site>
  void show(Site, std::size_t, std::size_t, tensor_view<const T, 3>) {}

 private:
  const Record& run_;
  See& see_;
};

}  // namespace detail
}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of capture_storage.hpp.

#include <algorithm>
#include <optscope/probe/capture_storage.hpp>
#include <utility>

namespace optscope::detail {

template <class Scalar>
capture_storage<Scalar>::capture_storage(std::span<const site_info* const> sites, positions chosen)
    : sites_{sites}, positions_{std::move(chosen)} {
  now_.store.resize(sites.size());
}

template <class Scalar>
void capture_storage<Scalar>::only_layers(std::vector<std::size_t> layers) {
  layers_ = std::move(layers);
}

template <class Scalar>
void capture_storage<Scalar>::only_sites(std::vector<std::string> names) {
  names_ = std::move(names);
}

template <class Scalar>
bool capture_storage<Scalar>::wants(std::size_t site, std::size_t layer) const {
  const site_info& of = *sites_[site];
  if (names_ && std::ranges::count(*names_, of.name) == 0) return false;
  return !of.per_layer() || !layers_ || std::ranges::count(*layers_, layer) != 0;
}

template <class Scalar>
std::size_t capture_storage<Scalar>::first_wanted(std::size_t text) const {
  const std::vector<std::size_t>& rows = now_.chosen[text];
  return rows.empty() ? static_cast<std::size_t>(-1) : *std::ranges::min_element(rows);
}

template <class Scalar>
void capture_storage<Scalar>::begin(const run_plan& plan) {
  for (const std::size_t layer : layers_.value_or(std::vector<std::size_t>{})) {
    if (layer < plan.shape.layers) continue;
    throw bad_input{"", "capture", "layers below " + std::to_string(plan.shape.layers), std::to_string(layer)};
  }
  if (plan.continues) {
    earlier_.push_back(std::move(now_));
  } else {
    earlier_.clear();
  }
  now_ = part{};
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    now_.keys.push_back(plan.total(text));
    now_.chosen.push_back(positions_.in(plan, text));
    std::erase_if(now_.chosen[text], [&](std::size_t position) { return position < plan.first_position(text); });
  }
  shape_ = plan.shape;
  names_of_texts_ = plan.names;
  allocate();
}

template <class Scalar>
void capture_storage<Scalar>::finish() {
  if (earlier_.empty()) return;
  earlier_.push_back(std::move(now_));
  now_ = part{};
  now_.keys = earlier_.back().keys;
  now_.chosen.resize(now_.keys.size());
  for (const part& run : earlier_) {
    for (std::size_t text = 0; text < run.chosen.size(); ++text) {
      now_.chosen[text].insert(now_.chosen[text].end(), run.chosen[text].begin(), run.chosen[text].end());
    }
  }
  allocate();
  for (std::size_t site = 0; site < sites_.size(); ++site) join(site);
  earlier_.clear();
}

template <class Scalar>
template <class T>
void capture_storage<Scalar>::keep(std::size_t site, const place& at, tensor_view<const T, 3> view) {
  kept& target = now_.store[site];
  Scalar* out = target.layers[at.layer].data() + target.offset[at.text];
  const std::vector<std::size_t>& rows = now_.chosen[at.text];
  const auto copy = [](const T* from, std::size_t count, Scalar* to) {
    return std::transform(from, from + count, to, [](T x) { return static_cast<Scalar>(x); });
  };
  if (sites_[site]->layout() == site_layout::position) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < at.first_position || rows[i] >= at.first_position + view.rows()) continue;
      // A layer from which neurons or heads were cut fills the front of a row.
      const auto row = view.row(rows[i] - at.first_position);
      copy(row.data(), row.size(), out + i * target.inner[0] * target.inner[1]);
    }
  } else {
    const std::size_t keys = view.extent(2);
    for (std::size_t head = 0; head < view.rows(); ++head) {
      for (const std::size_t row : rows) {
        out = copy(view.row(head).data() + (row - at.first_position) * keys, keys, out);
      }
    }
  }
}

template <class Scalar>
bool capture_storage<Scalar>::keeps(std::size_t site, std::size_t layer) const {
  const kept& source = now_.store[site];
  if (layer >= source.layers.size()) return false;
  return !source.layers[layer].empty() || (source.rows == 0 && wants(site, layer));
}

/// Throws `bad_input` for what no run has shown, layers beyond the model, and layers and sites that were left out.
template <class Scalar>
void capture_storage<Scalar>::check_kept(std::size_t site, std::size_t layer) const {
  if (keeps(site, layer)) return;
  const kept& source = now_.store[site];
  const std::string item = "capture of " + std::string{sites_[site]->name};
  if (source.layers.empty()) throw bad_input{"", item, "a run before it is read", "none"};
  if (layer >= source.layers.size()) {
    throw bad_input{"", item, "a layer below " + std::to_string(source.layers.size()), std::to_string(layer)};
  }
  if (names_ && std::ranges::count(*names_, sites_[site]->name) == 0) {
    throw bad_input{"", item, "a site that is kept", "one that only_sites() left out"};
  }
  throw bad_input{"", item, "a layer that is kept", std::to_string(layer) + ", which only_layers() left out"};
}

template <class Scalar>
void capture_storage<Scalar>::check_text(const std::string& item, std::size_t text) const {
  if (text < texts()) return;
  if (texts() == 0) throw bad_input{"", item, "a run before it is read", "none"};
  throw bad_input{"", item, "a text below " + std::to_string(texts()), std::to_string(text)};
}

template <class Scalar>
const std::vector<std::size_t>& capture_storage<Scalar>::positions_of(std::size_t text) const {
  check_text("capture", text);
  return now_.chosen[text];
}

template <class Scalar>
std::size_t capture_storage<Scalar>::tokens_of(std::size_t text) const {
  check_text("capture", text);
  return now_.keys[text];
}

template <class Scalar>
tensor_view<const Scalar, 3> capture_storage<Scalar>::all_texts(std::size_t site, std::size_t layer) const {
  check_kept(site, layer);
  const kept& source = now_.store[site];
  return {source.layers[layer].data(), {source.rows, source.inner[0], source.inner[1]}};
}

template <class Scalar>
tensor_view<const Scalar, 3> capture_storage<Scalar>::one_text(std::size_t site, std::size_t layer,
                                                               std::size_t text) const {
  check_kept(site, layer);
  check_text("capture of " + std::string{sites_[site]->name}, text);
  return text_of(now_, site, layer, text);
}

template <class Scalar>
tensor_view<const Scalar, 3> capture_storage<Scalar>::text_of(const part& run, std::size_t site, std::size_t layer,
                                                              std::size_t text) const {
  const kept& source = run.store[site];
  const std::vector<Scalar>& all = source.layers.at(layer);
  const Scalar* data = all.empty() ? nullptr : all.data() + source.offset.at(text);
  const std::size_t rows = run.chosen[text].size();
  if (sites_[site]->layout() == site_layout::head) return {data, {source.inner[0], rows, run.keys[text]}};
  return {data, {rows, source.inner[0], source.inner[1]}};
}

template <class Scalar>
std::array<std::size_t, 3> capture_storage<Scalar>::extents(std::size_t site, const architecture& shape,
                                                            std::size_t length, std::size_t text) const {
  run_plan plan{shape, std::vector<std::size_t>(text + 1)};
  plan.lengths[text] = length;
  const std::size_t rows = positions_.in(plan, text).size();
  const auto inner = inner_shape(*sites_[site], shape);
  if (sites_[site]->layout() == site_layout::head) return {inner[0], rows, length};
  return {rows, inner[0], inner[1]};
}

template <class Scalar>
std::optional<std::size_t> capture_storage<Scalar>::row_of(std::size_t text, std::size_t position) const {
  const std::vector<std::size_t>& rows = positions_of(text);
  if (position < rows.size() && rows[position] == position) return position;
  const auto found = std::ranges::find(rows, position);
  if (found == rows.end()) return std::nullopt;
  return static_cast<std::size_t>(found - rows.begin());
}

template <class Scalar>
std::string capture_storage<Scalar>::name_of(std::size_t text) const {
  return text < names_of_texts_.size() ? names_of_texts_[text] : "text " + std::to_string(text);
}

template <class Scalar>
captured_row capture_storage<Scalar>::origin(std::size_t row) const {
  std::size_t before = 0;
  for (std::size_t text = 0; text < texts(); ++text) {
    const std::vector<std::size_t>& chosen = positions_of(text);
    if (row - before < chosen.size()) return {.text = text, .position = chosen[row - before]};
    before += chosen.size();
  }
  throw bad_input{"", "capture", "a row below " + std::to_string(before), std::to_string(row)};
}

template <class Scalar>
void capture_storage<Scalar>::allocate() {
  now_.store.resize(sites_.size());
  for (std::size_t site = 0; site < sites_.size(); ++site) {
    const bool by_head = sites_[site]->layout() == site_layout::head;
    kept& target = now_.store[site];
    target.inner = inner_shape(*sites_[site], shape_);
    std::size_t size = 0;
    for (std::size_t text = 0; text < now_.chosen.size(); ++text) {
      target.offset.push_back(size);
      target.rows += now_.chosen[text].size();
      size += now_.chosen[text].size() * target.inner[0] * (by_head ? now_.keys[text] : target.inner[1]);
    }
    target.layers.resize(sites_[site]->per_layer() ? shape_.layers : 1);
    for (std::size_t layer = 0; layer < target.layers.size(); ++layer) {
      if (wants(site, layer)) target.layers[layer].resize(size);
    }
  }
}

/// Copies a site of the earlier runs, one after the other. Keys that a run did not have yet are hidden from it.
template <class Scalar>
void capture_storage<Scalar>::join(std::size_t site) {
  const auto later_keys = static_cast<Scalar>(sites_[site]->later_keys);
  kept& target = now_.store[site];
  for (std::size_t layer = 0; layer < target.layers.size(); ++layer) {
    if (target.layers[layer].empty()) continue;
    for (std::size_t text = 0; text < now_.chosen.size(); ++text) {
      Scalar* const begin = target.layers[layer].data() + target.offset[text];
      const std::size_t rows = now_.chosen[text].size(), keys = now_.keys[text];
      std::size_t row = 0;
      for (const part& run : earlier_) {
        const tensor_view<const Scalar, 3> view = text_of(run, site, layer, text);
        if (sites_[site]->layout() == site_layout::position) {
          std::copy_n(view.data(), view.size(), begin + row * view.cols());
        } else {
          for (std::size_t head = 0; head < view.rows(); ++head) {
            for (std::size_t i = 0; i < view.extent(1); ++i) {
              Scalar* const out = begin + (head * rows + row + i) * keys;
              std::copy_n(view.row(head).data() + i * view.extent(2), view.extent(2), out);
              std::fill(out + view.extent(2), out + keys, later_keys);
            }
          }
        }
        row += run.chosen[text].size();
      }
    }
  }
}

#ifdef OPTSCOPE_COMPILED
template class capture_storage<float>;
template class capture_storage<double>;
template void capture_storage<float>::keep(std::size_t, const place&, tensor_view<const float, 3>);
template void capture_storage<float>::keep(std::size_t, const place&, tensor_view<const double, 3>);
template void capture_storage<double>::keep(std::size_t, const place&, tensor_view<const float, 3>);
template void capture_storage<double>::keep(std::size_t, const place&, tensor_view<const double, 3>);
#endif

}  // namespace optscope::detail

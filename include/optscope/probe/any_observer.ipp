// SPDX-License-Identifier: MIT
#pragma once
// Bodies of any_observer.hpp.

#include <algorithm>
#include <optscope/probe/any_observer.hpp>
#include <string>

namespace optscope::detail {

template <class T>
void observed_sites<T>::add(std::string_view site, action what, std::optional<std::vector<std::size_t>> layers,
                            std::span<const site_info* const> sites) {
  std::string names;
  for (const site_info* each : sites) {
    if (each->name == site) {
      entries_.push_back({each, std::move(what), std::move(layers)});
      return;
    }
    names += (names.empty() ? "" : " ") + std::string{each->name};
  }
  throw bad_input{"", "observer", "one of the sites " + names, std::string{site}};
}

template <class T>
bool observed_sites<T>::entry::wants(const site_info& of, std::size_t layer) const {
  return site == &of && (!of.per_layer() || !layers || std::ranges::count(*layers, layer) != 0);
}

template <class T>
bool observed_sites<T>::wants(const site_info& site, std::size_t layer) const {
  return std::ranges::any_of(entries_, [&](const entry& each) { return each.wants(site, layer); });
}

template <class T>
void observed_sites<T>::show(const site_info& site, const place& at, tensor_view<const T, 3> rows) const {
  for (const entry& each : entries_) {
    if (each.wants(site, at.layer)) each.what(at, rows);
  }
}

#ifdef OPTSCOPE_COMPILED
template class observed_sites<float>;
template class observed_sites<double>;
#endif

}  // namespace optscope::detail

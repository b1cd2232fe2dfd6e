// SPDX-License-Identifier: MIT
#pragma once
// Bodies of edit_list.hpp.

#include <algorithm>
#include <optscope/probe/edit_list.hpp>

namespace optscope::detail {

template <class T>
bool edit_sequence<T>::entry::acts_on(const site_info& of, std::size_t layer) const {
  return site == &of && (!of.per_layer() || operation.place().chosen().has_layer(layer));
}

template <class T>
void edit_sequence<T>::add(const site_info& site, any_operation<T> operation, where chosen) {
  edits_.push_back({&site, {std::move(operation), std::move(chosen)}});
}

template <class T>
void edit_sequence<T>::refuse(std::string_view site, std::string_view operation,
                              std::span<const site_info* const> sites) {
  const bool known = std::ranges::any_of(sites, [&](const site_info* each) { return each->name == site; });
  std::string expected = "a site that \"" + std::string{operation} + "\" can edit";
  if (!known) {
    expected = "one of the sites";
    for (const site_info* each : sites) expected += " " + std::string{each->name};
  }
  throw bad_input{"", "edit", std::move(expected), std::string{site}};
}

template <class T>
void edit_sequence<T>::may_not_fire() {
  for (entry& each : edits_) each.operation.place().may_not_fire();
}

template <class T>
bool edit_sequence<T>::wants(const site_info& site, std::size_t layer) const {
  return std::ranges::any_of(edits_, [&](const entry& each) { return each.acts_on(site, layer); });
}

template <class T>
void edit_sequence<T>::begin(const run_plan& plan) {
  for (entry& each : edits_) {
    placement& place = each.operation.place();
    place.chosen().check(*each.site, plan, place.text(each.site->name));
    each.operation.begin(plan, each.site->name);
  }
}

template <class T>
std::vector<std::size_t> edit_sequence<T>::rows(const site_info& site, const place& at, std::size_t count) const {
  std::vector<std::size_t> all;
  for (const entry& each : edits_) {
    if (!each.acts_on(site, at.layer)) continue;
    const std::vector<std::size_t> rows = each.operation.place().rows(at, count);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

template <class T>
void edit_sequence<T>::edit(const site_info& site, const place& at, tensor_view<T, 3> view) {
  for (entry& each : edits_) {
    if (each.acts_on(site, at.layer)) each.operation.template edit<void>(site, at, view);
  }
}

template <class T>
void edit_sequence<T>::finish() const {
  for (const entry& each : edits_) each.operation.place().finish(each.site->name);
}

#ifdef OPTSCOPE_COMPILED
template class edit_sequence<float>;
template class edit_sequence<double>;
#endif

}  // namespace optscope::detail

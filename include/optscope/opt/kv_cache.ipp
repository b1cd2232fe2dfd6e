// SPDX-License-Identifier: MIT
#pragma once
// Bodies of kv_cache.hpp.

#include <algorithm>
#include <optscope/opt/kv_cache.hpp>

namespace optscope {

template <class T>
tensor_view<const T, 2> kv_cache<T>::keys(std::size_t layer, std::size_t text) const {
  return rows(layer, text, 0);
}

template <class T>
tensor_view<const T, 2> kv_cache<T>::values(std::size_t layer, std::size_t text) const {
  return rows(layer, text, 1);
}

template <class T>
void kv_cache<T>::reserve(std::size_t text, std::size_t tokens) {
  entry& at = texts_.at(text);
  if (tokens > at.capacity) move_to(at, tokens);
}

template <class T>
void kv_cache<T>::truncate(std::size_t text, std::size_t length) {
  texts_.at(text).length = std::min(texts_.at(text).length, length);
}

template <class T>
bool kv_cache<T>::fits(const architecture& shape, std::size_t texts) const noexcept {
  return texts_.empty() || (layers_ == shape.layers && hidden_ == shape.hidden && texts_.size() == texts);
}

template <class T>
void kv_cache<T>::prepare(const architecture& shape, std::size_t texts) {
  if (!texts_.empty()) return;
  layers_ = shape.layers;
  hidden_ = shape.hidden;
  texts_.resize(texts);
}

template <class T>
void kv_cache<T>::make_room(std::size_t text, std::size_t more) {
  const entry& at = texts_.at(text);
  const std::size_t needed = at.length + more;
  if (needed > at.capacity) reserve(text, at.capacity == 0 ? needed : std::max(needed, 2 * at.capacity));
}

template <class T>
std::pair<tensor_view<const T, 2>, tensor_view<const T, 2>> kv_cache<T>::append(std::size_t layer, std::size_t text,
                                                                                tensor_view<const T, 2> k,
                                                                                tensor_view<const T, 2> v) {
  const std::size_t before = length(text), all = before + k.rows();
  T *const keys = begin(layer, text, 0), *const values = begin(layer, text, 1);
  for (std::size_t row = 0; row < k.rows(); ++row) {
    std::ranges::copy(k.row(row), keys + (before + row) * hidden_);
    std::ranges::copy(v.row(row), values + (before + row) * hidden_);
  }
  return {tensor_view<const T, 2>{keys, {all, k.cols()}, hidden_},
          tensor_view<const T, 2>{values, {all, v.cols()}, hidden_}};
}

template <class T>
T* kv_cache<T>::begin(std::size_t layer, std::size_t text, std::size_t which) {
  entry& at = texts_.at(text);
  return at.data.data() + (2 * layer + which) * at.capacity * hidden_;
}

template <class T>
tensor_view<const T, 2> kv_cache<T>::rows(std::size_t layer, std::size_t text, std::size_t which) const {
  const entry& at = texts_.at(text);
  return {at.data.data() + (2 * layer + which) * at.capacity * hidden_, {at.length, hidden_}};
}

template <class T>
void kv_cache<T>::move_to(entry& at, std::size_t capacity) const {
  std::vector<T> larger(2 * layers_ * capacity * hidden_);
  for (std::size_t part = 0; part < 2 * layers_; ++part) {
    std::copy_n(at.data.begin() + static_cast<std::ptrdiff_t>(part * at.capacity * hidden_), at.length * hidden_,
                larger.begin() + static_cast<std::ptrdiff_t>(part * capacity * hidden_));
  }
  at.data = std::move(larger);
  at.capacity = capacity;
}

#ifdef OPTSCOPE_COMPILED
template class kv_cache<float>;
template class kv_cache<double>;
#endif

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of outer_reader.hpp.

#include <algorithm>
#include <optscope/opt/outer_reader.hpp>
#include <optscope/opt/tensors.hpp>

namespace optscope {
namespace detail {

inline constexpr std::size_t rows_before_first_position = 2;

inline const stored_tensor& outer_tensor(const checkpoint& files, const architecture& shape, tensor_role role,
                                         bool bias = false) {
  return require_tensor(files, tensor_of(shape, {}, role, 0, bias));
}

/// The values of a tensor; none if the model does not have it.
template <class T>
std::vector<T> outer_values(const checkpoint& files, const architecture& shape, tensor_role role, bool bias = false) {
  if (!has_tensor(shape, role, bias)) return {};
  const stored_tensor& stored = outer_tensor(files, shape, role, bias);
  std::vector<T> values(stored.size());
  stored.copy_to(values.data());
  return values;
}

}  // namespace detail

template <class T>
outer_reader<T>::outer_reader(const checkpoint& files, const architecture& shape)
    : tokens_{detail::outer_tensor(files, shape, tensor_role::token_embedding)},
      positions_{detail::outer_tensor(files, shape, tensor_role::position_embedding)},
      unembedding_{detail::outer_tensor(files, shape, tensor_role::unembedding)},
      project_in_{detail::outer_values<T>(files, shape, tensor_role::project_in)},
      project_out_{detail::outer_values<T>(files, shape, tensor_role::project_out)},
      final_gamma_{detail::outer_values<T>(files, shape, tensor_role::final_norm)},
      final_beta_{detail::outer_values<T>(files, shape, tensor_role::final_norm, true)} {}

template <class T>
void outer_reader<T>::token_embedding(std::span<const token_id> ids, tensor_view<T, 2> rows) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    tokens_.copy_rows(static_cast<std::size_t>(ids[i]), 1, rows.row(i).data());
  }
}

template <class T>
void outer_reader<T>::position_embedding(std::size_t first, tensor_view<T, 2> rows) const {
  positions_.copy_rows(detail::rows_before_first_position + first, rows.rows(), rows.data());
}

template <class T>
outer_weights<T> outer_reader<T>::outer() const {
  const std::size_t hidden = positions_.row_size(), narrow = tokens_.row_size();
  outer_weights<T> result;
  if (!project_in_.empty()) result.project_in = {project_in_.data(), {hidden, narrow}};
  if (!project_out_.empty()) result.project_out = {project_out_.data(), {narrow, hidden}};
  if (!final_gamma_.empty()) result.final_norm = {.gamma = final_gamma_.data(), .beta = final_beta_.data()};
  return result;
}

template <class T>
tensor_view<const T, 2> outer_reader<T>::unembedding(std::size_t first, std::size_t count, thread_pool& pool) {
  const std::size_t width = unembedding_.row_size();
  if (kept_) return {kept_->data() + first * width, {count, width}};
  part_.resize(std::max(part_.size(), count * width));
  convert(first, count, part_.data(), pool);
  return {part_.data(), {count, width}};
}

template <class T>
void outer_reader<T>::keep_unembedding(thread_pool& pool) {
  if (kept_) return;
  auto whole = std::make_shared<std::vector<T>>(unembedding_.size());
  convert(0, unembedding_.rows(), whole->data(), pool);
  kept_ = std::move(whole);
  part_ = {};
}

template <class T>
void outer_reader<T>::convert(std::size_t first, std::size_t count, T* rows, thread_pool& pool) const {
  constexpr std::size_t piece = 256;
  pool.parallel_for((count + piece - 1) / piece, [&](std::size_t i, std::size_t) {
    unembedding_.copy_rows(first + i * piece, std::min(piece, count - i * piece),
                           rows + i * piece * unembedding_.row_size());
  });
}

#ifdef OPTSCOPE_COMPILED
template class outer_reader<float>;
template class outer_reader<double>;
#endif

}  // namespace optscope

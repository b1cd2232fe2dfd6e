// SPDX-License-Identifier: MIT
#pragma once
// Bodies of mapped_weights.hpp.

#include <array>
#include <initializer_list>
#include <optscope/core/memory.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/tensors.hpp>
#include <utility>

namespace optscope {
namespace detail {

inline constexpr std::size_t rows_before_first_position = 2;

/// Finds the tensors of a model, and copies those that cannot be used where they lie.
template <class T>
class weight_finder {
 public:
  weight_finder(const checkpoint& files, const architecture& shape, std::vector<std::vector<T>>& copies)
      : files_{files}, shape_{shape}, sizes_{layer_sizes_of(files.configuration(), shape)}, copies_{copies} {}

  [[nodiscard]] const stored_tensor& tensor(tensor_role role, std::size_t layer = 0, bool bias = false) const {
    return require_tensor(files_, tensor_of(shape_, sizes_, role, layer, bias));
  }
  [[nodiscard]] bool has(tensor_role role, bool bias = false) const { return has_tensor(shape_, role, bias); }

  /// The biases of some roles one after the other; null if the model has none.
  const T* vector(std::initializer_list<tensor_role> roles, std::size_t layer, bool bias) {
    if (!has(*roles.begin(), bias)) return nullptr;
    std::vector<T> values;
    for (const tensor_role role : roles) {
      const stored_tensor& stored = tensor(role, layer, bias);
      values.resize(values.size() + stored.size());
      stored.copy_to(values.data() + values.size() - stored.size());
    }
    return keep(std::move(values));
  }
  norm_weights<T> norm(tensor_role role, std::size_t layer = 0) {
    const T* const gamma = vector({role}, layer, false);
    return {.gamma = gamma, .beta = gamma == nullptr ? nullptr : vector({role}, layer, true)};
  }

  /// Where it lies, unless `copied` or it cannot be used there. `in_files` gets what lies in a file.
  matrix_view<T> matrix(const stored_tensor& stored, std::vector<stored_tensor>& in_files, bool copied = false) {
    const std::array<std::size_t, 2> shape{stored.rows(), stored.row_size()};
    if (!copied && stored.contiguous() && matrix_view<T>::usable(stored.type())) {
      in_files.push_back(stored);
      return {stored.data(), stored.type(), shape};
    }
    std::vector<T> values(stored.size());
    stored.copy_to(values.data());
    return tensor_view<const T, 2>{keep(std::move(values)), shape};
  }
  matrix_view<T> matrix(tensor_role role, std::vector<stored_tensor>& in_files) {
    return has(role) ? matrix(tensor(role), in_files) : matrix_view<T>{};
  }

  layer_weights<T> layer(std::size_t index, std::vector<stored_tensor>& in_files) {
    const auto linear = [&](tensor_role role) -> linear_weights<T> {
      return {.weight = matrix(tensor(role, index), in_files), .bias = vector({role}, index, true)};
    };
    const stored_tensor &q = tensor(tensor_role::q, index), &k = tensor(tensor_role::k, index),
                        &v = tensor(tensor_role::v, index);
    bool copied = q.type() != k.type() || q.type() != v.type();
    for (const stored_tensor* part : {&q, &k, &v}) copied = copied || !part->contiguous();
    const matrix_view<T> parts[]{matrix(q, in_files, copied), matrix(k, in_files, copied), matrix(v, in_files, copied)};
    layer_weights<T> result;
    result.ln1 = norm(tensor_role::ln1, index);
    result.ln2 = norm(tensor_role::ln2, index);
    result.qkv = {.weight = {parts[0], parts[1], parts[2]},
                  .bias = vector({tensor_role::q, tensor_role::k, tensor_role::v}, index, true)};
    result.out = linear(tensor_role::attention_out);
    result.fc1 = linear(tensor_role::fc1);
    result.fc2 = linear(tensor_role::fc2);
    return result;
  }

  std::vector<layer_weights<T>> layers(std::vector<std::vector<stored_tensor>>& in_files) {
    std::vector<layer_weights<T>> result;
    for (std::size_t index = 0; index < shape_.layers; ++index) result.push_back(layer(index, in_files[index]));
    return result;
  }

 private:
  const T* keep(std::vector<T> values) {
    copies_.push_back(std::move(values));
    return copies_.back().data();
  }

  const checkpoint& files_;
  const architecture& shape_;
  layer_sizes sizes_;
  std::vector<std::vector<T>>& copies_;
};

}  // namespace detail

template <class T>
mapped_weights<T>::mapped_weights(const checkpoint& files, const architecture& shape, thread_pool&)
    : copies_{std::make_shared<std::vector<std::vector<T>>>()},
      files_of_(shape.layers + 1),
      layers_{detail::weight_finder<T>{files, shape, *copies_}.layers(files_of_)},
      tokens_{require_tensor(files, tensor_of(shape, {}, tensor_role::token_embedding))},
      positions_{require_tensor(files, tensor_of(shape, {}, tensor_role::position_embedding))},
      ahead_{shape.layers},
      waits_{disk_waits()} {
  detail::weight_finder<T> found{files, shape, *copies_};
  outer_.project_in = found.matrix(tensor_role::project_in, files_of_.back());
  outer_.final_norm = found.norm(tensor_role::final_norm);
  outer_.project_out = found.matrix(tensor_role::project_out, files_of_.back());
  unembedding_ = found.matrix(tensor_role::unembedding, files_of_.back());
}

template <class T>
layer_weights<T> mapped_weights<T>::layer(std::size_t index, std::size_t end, thread_pool&) {
  // Asking takes time even for what is in memory. The first pass asks, and passes in which something was not there.
  if (const std::size_t waits = disk_waits(); waits != std::exchange(waits_, waits)) ahead_ = layers_.size();
  if (index + 1 < end && ahead_ > 0) {
    --ahead_;
    for (const stored_tensor& next : files_of_[index + 1]) next.read_ahead(0, next.rows());
  }
  return layers_[index];
}

template <class T>
void mapped_weights<T>::token_embedding(std::span<const token_id> ids, tensor_view<T, 2> rows) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    tokens_.copy_rows(static_cast<std::size_t>(ids[i]), 1, rows.row(i).data());
  }
}

template <class T>
void mapped_weights<T>::position_embedding(std::size_t first, tensor_view<T, 2> rows) const {
  positions_.copy_rows(detail::rows_before_first_position + first, rows.rows(), rows.data());
}

#ifdef OPTSCOPE_COMPILED
template class mapped_weights<float>;
template class mapped_weights<double>;
#endif

}  // namespace optscope

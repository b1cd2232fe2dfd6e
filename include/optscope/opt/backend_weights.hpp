// SPDX-License-Identifier: MIT
#pragma once
// The weights of a model in its backend's memory: the policy's own, or copies of them.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/weights.hpp>
#include <utility>
#include <vector>

namespace optscope::detail {

/// Copies of weights in a backend's memory, matrices with the elements that they are stored with. Each copy is valid
/// as long as this lives and `begin` is not called.
template <class T, class Backend>
class weight_copies {
 public:
  using space = typename Backend::space;

  /// What is copied from now on takes the place of what was before.
  void begin() noexcept { matrices_ = vectors_ = 0; }

  [[nodiscard]] matrix_view<T, space> matrix(Backend& backend, const matrix_view<T>& from) {
    if (from.size() == 0) return {};
    // Rows begin at multiples of 16 bytes. Eight bits become T: only the host has scales.
    const dtype type = from.scaled() ? matrix_view<T>::own_type : from.type();
    const std::size_t element = size_of(type), in_16 = 16 / element;
    const std::size_t stride = (from.cols() + in_16 - 1) / in_16 * in_16, row_bytes = stride * element;
    tensor_in<std::byte, 2, space>& to = next(matrix_memory_, matrices_);
    to.resize(backend, {from.rows(), row_bytes});
    const std::size_t at_once = std::max<std::size_t>(1, bytes_at_once / row_bytes);
    for (std::size_t first = 0; first < from.rows(); first += at_once) {
      const std::size_t count = std::min(at_once, from.rows() - first);
      backend.write(to.view().slice(first, count), [&](tensor_view<std::byte, 2> rows) {
        for (std::size_t i = 0; i < count; ++i) {
          if (from.scaled()) {
            from.copy_rows(first + i, 1, reinterpret_cast<T*>(rows.row(i).data()));
          } else {
            std::memcpy(rows.row(i).data(), from.row(first + i), from.row_bytes());
          }
          std::ranges::fill(rows.row(i).subspan(from.cols() * element), std::byte{0});
        }
      });
    }
    return {pointer_to<const std::byte, space>{to.view().data()}, type, from.shape(), stride};
  }
  [[nodiscard]] pointer_to<const T, space> vector(Backend& backend, const T* from, std::size_t size) {
    if (from == nullptr) return {};
    tensor_in<T, 2, space>& to = next(vector_memory_, vectors_);
    to.resize(backend, {1, size});
    copy_from_host<T, 2>(backend, tensor_view<const T, 2>{from, {1, size}}, to.view());
    return to.view().data();
  }
  [[nodiscard]] norm_weights<T, space> norm(Backend& backend, const norm_weights<T>& from, std::size_t size) {
    return {.gamma = vector(backend, from.gamma, size), .beta = vector(backend, from.beta, size)};
  }
  [[nodiscard]] layer_weights<T, matrix_view<T, space>> layer(Backend& backend, const layer_weights<T>& from) {
    const std::size_t hidden = from.fc2.weight.rows();
    const auto linear = [&](const linear_weights<T>& map) -> linear_weights<T, matrix_view<T, space>> {
      return {.weight = matrix(backend, map.weight), .bias = vector(backend, map.bias, map.weight.rows())};
    };
    layer_weights<T, matrix_view<T, space>> to;
    to.ln1 = norm(backend, from.ln1, hidden);
    to.ln2 = norm(backend, from.ln2, hidden);
    to.qkv = linear(from.qkv);
    to.out = linear(from.out);
    to.fc1 = linear(from.fc1);
    to.fc2 = linear(from.fc2);
    return to;
  }

 private:
  static constexpr std::size_t bytes_at_once = std::size_t{1} << 25;  // that are lent by the backend

  template <class Memory>
  static Memory& next(std::vector<Memory>& all, std::size_t& used) {
    if (used == all.size()) all.emplace_back();
    return all[used++];
  }

  std::vector<tensor_in<std::byte, 2, space>> matrix_memory_;
  std::vector<tensor_in<T, 2, space>> vector_memory_;
  std::size_t matrices_ = 0, vectors_ = 0;  // in use
};

/// A model's weights where its backend can use them. In the host's memory they are the policy's. Elsewhere each layer
/// is copied once and kept, or, where not all of them fit, kept in one of two places until the next but one comes.
template <class T, class Backend, class Policy>
class backend_weights {
 public:
  using space = typename Backend::space;
  using layer_type = layer_weights<T, matrix_view<T, space>>;

  backend_weights(Policy policy, const architecture& shape)
      : policy_{std::move(policy)}, layers_{shape.layers}, hidden_{shape.hidden} {}
  /// Shares weights as far as copies of the policy do; copies in a backend's memory are not shared.
  backend_weights(const backend_weights& other)
      : policy_{other.policy_}, layers_{other.layers_}, hidden_{other.hidden_} {}
  backend_weights(backend_weights&&) = default;

  [[nodiscard]] Policy& policy() noexcept { return policy_; }

  /// A layer, valid until the next call; see `weight_policy`.
  [[nodiscard]] layer_type layer(Backend& backend, std::size_t index, std::size_t end) {
    if constexpr (space::host) {
      return policy_.layer(index, end, backend.pool());
    } else {
      if (places_.empty()) places_.resize(places_that_fit(backend));
      place& at = places_[index % places_.size()];
      const std::optional<std::size_t> version = version_of(index);
      if (at.layer != index || !version || at.version != *version) {
        at.layer = none;  // until it is whole
        at.copies.begin();
        at.weights = at.copies.layer(backend, policy_.layer(index, end, backend.pool()));
        at.layer = index;
        at.version = version.value_or(0);
      }
      return at.weights;
    }
  }

  [[nodiscard]] outer_weights<T, space> outer(Backend& backend) {
    if constexpr (space::host) {
      return policy_.outer();
    } else {
      if (!outer_) {
        const outer_weights<T> from = policy_.outer();
        outer_weights<T, space> to;
        to.project_in = outer_copies_.matrix(backend, from.project_in);
        to.project_out = outer_copies_.matrix(backend, from.project_out);
        to.final_norm = outer_copies_.norm(backend, from.final_norm, hidden_);
        outer_ = to;
      }
      return *outer_;
    }
  }

  [[nodiscard]] matrix_view<T, space> unembedding(Backend& backend) {
    if constexpr (space::host) {
      return policy_.unembedding();
    } else {
      if (!unembedding_) unembedding_ = outer_copies_.matrix(backend, policy_.unembedding());
      return *unembedding_;
    }
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  struct place {
    weight_copies<T, Backend> copies;
    layer_type weights;
    std::size_t layer = none, version = 0;
  };

  [[nodiscard]] std::optional<std::size_t> version_of(std::size_t layer) const {
    if constexpr (requires { static_cast<std::size_t>(policy_.version(layer)); }) {
      return static_cast<std::size_t>(policy_.version(layer));
    } else {
      return std::nullopt;
    }
  }

  /// For all layers if they fill at most three quarters of the memory that is free, else for two.
  [[nodiscard]] std::size_t places_that_fit(Backend& backend) {
    const std::size_t two = std::min<std::size_t>(layers_, 2);
    if constexpr (requires { static_cast<std::size_t>(backend.free_memory()); }) {
      const layer_weights<T> first = policy_.layer(0, 1, backend.pool());
      const matrix_view<T> last = policy_.unembedding();
      const std::size_t all = layers_ * stored_bytes(first) + last.rows() * last.row_bytes();
      if (all > static_cast<std::size_t>(backend.free_memory()) / 4 * 3) return two;
    }
    return layers_;
  }

  Policy policy_;
  std::size_t layers_, hidden_;
  // What follows is empty if the policy's own weights are used.
  std::vector<place> places_;
  weight_copies<T, Backend> outer_copies_;
  std::optional<outer_weights<T, space>> outer_;
  std::optional<matrix_view<T, space>> unembedding_;
};

}  // namespace optscope::detail

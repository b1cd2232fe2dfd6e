// SPDX-License-Identifier: MIT
#pragma once
// The Jacobians of a whole layer and of a span of layers, composed from those of their blocks.

#include <cstddef>
#include <limits>
#include <memory>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <optscope/spectrum/products.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Which ways through a layer a derivative counts: `all`, or those through at least one of its blocks (`blocks`): what
/// attention and MLP together add, the MLP seeing what attention did.
enum class paths { blocks, all };

/// d resid_post / d resid_pre of one layer. With A and M the Jacobians of its blocks and L1, L2 those of the LayerNorms
/// behind the additions (post-LN; pre-LN: identities)
///
///     all:     L2 (I + M) L1 (I + A)
///     blocks:  the same minus L2 L1; pre-LN: A + M + M A = d (attn_out + mlp_out) / d resid_pre
///
/// A product costs one forward pass of the layer for each vector.
template <class T>
class layer_jacobian {
 public:
  using scalar = T;

  explicit layer_jacobian(std::shared_ptr<const layer_point<T>> at, cpu backend = cpu{}, paths ways = paths::all,
                          layer_norm norm = layer_norm::inside)
      : at_{std::move(at)},
        backend_{backend},
        ways_{ways},
        norms_behind_{norm == layer_norm::inside && !at_->shape.pre_layer_norm},
        attention_{at_, backend, norms_behind_ ? layer_norm::outside : norm},
        mlp_{at_, backend, norms_behind_ ? layer_norm::outside : norm} {}

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return false; }

  /// x (k, tokens hidden) to y of the same shape; `blocks`: y = L2 (L1 A x + M L1 (I + A) x).
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    prepare(x.rows());
    const tensor_view<T, 2> mid = mid_.view();
    attention_.apply(x, y);
    sum(y, x, mid);
    norm(at_->ln1, mid);
    if (ways_ == paths::blocks) {
      norm(at_->ln1, y);
    } else {
      sum(mid, {}, y);
    }
    mlp_.apply(mid, other_.view());
    sum(y, other_.view(), y);
    norm(at_->ln2, y);
  }

  /// y (k, tokens hidden) to x of the same shape; `blocks`: x = Aᵀ L1ᵀ (I + Mᵀ) L2ᵀ y + L1ᵀ Mᵀ L2ᵀ y.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
    prepare(y.rows());
    const tensor_view<T, 2> mid = mid_.view(), other = other_.view();
    sum(y, {}, mid);
    norm_transposed(at_->ln2, mid);
    mlp_.apply_transposed(mid, other);  // Mᵀ
    sum(mid, other, mid);               // I + Mᵀ
    norm_transposed(at_->ln1, mid);
    attention_.apply_transposed(mid, x);
    if (ways_ == paths::blocks) {
      norm_transposed(at_->ln1, other);
      sum(x, other, x);
    } else {
      sum(x, mid, x);
    }
  }

  /// out (hidden, hidden) = J_tu: attention's block and one (hidden, hidden) product. Fastest with t in order.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>
  {
    const std::size_t d = width();
    if (t != token_) make_factors(t);
    attention_.block(t, u, out);
    if (u > t) return;
    if (ways_ == paths::all && t == u) add_identity(out);
    for (std::size_t i = 0; i < d; ++i) std::ranges::copy(out.row(i), right_.row(i).data());
    product::for_rows(backend_.pool(), d, [&](std::size_t first, std::size_t count, std::size_t) {
      product::ab<double>(full_.view().slice(first, count), right_.view(), out.slice(first, count));
    });
    if (ways_ == paths::blocks && t == u) {
      for (std::size_t i = 0; i < d; ++i) kernel::add(through_mlp_.row(i).data(), d, out.row(i).data());
    }
  }

 private:
  void prepare(std::size_t vectors) {
    if (mid_.rows() == vectors) return;
    mid_ = tensor<T, 2>{{vectors, cols()}};
    other_ = tensor<T, 2>{{vectors, cols()}};
  }
  /// out = a + b; b may be empty, out may be a.
  static void sum(tensor_view<const T, 2> a, tensor_view<const T, 2> b, tensor_view<T, 2> out) {
    for (std::size_t i = 0; i < out.rows(); ++i) {
      if (a.row(i).data() != out.row(i).data()) std::ranges::copy(a.row(i), out.row(i).data());
      if (b.rows() != 0) kernel::add(b.row(i).data(), b.cols(), out.row(i).data());
    }
  }
  void norm(const norm_jacobian<T>& by, tensor_view<T, 2> x) const {
    for (std::size_t i = 0; norms_behind_ && i < x.rows(); ++i) by.apply(0, tokens_of(x, i), tokens_of(x, i));
  }
  void norm_transposed(const norm_jacobian<T>& by, tensor_view<T, 2> x) const {
    for (std::size_t i = 0; norms_behind_ && i < x.rows(); ++i) {
      by.apply_transposed(0, tokens_of(x, i), tokens_of(x, i));
    }
  }
  [[nodiscard]] tensor_view<T, 2> tokens_of(tensor_view<T, 2> x, std::size_t i) const {
    return {x.row(i).data(), {tokens(), width()}};
  }
  static void add_identity(tensor_view<double, 2> m) {
    for (std::size_t i = 0; i < m.rows(); ++i) m(i, i) += 1;
  }

  /// full = L2 (I + M_t) L1 and through_mlp = L2 M_t L1.
  void make_factors(std::size_t t) {
    const std::size_t d = width();
    if (full_.rows() != d) full_ = through_mlp_ = right_ = tensor<double, 2>{{d, d}};
    mlp_.block(t, t, full_.view());
    through_mlp_ = full_;
    add_identity(full_.view());
    for (tensor<double, 2>* factor : {&full_, &through_mlp_}) {
      if (!norms_behind_) break;
      at_->ln1.from_right(t, factor->view());
      at_->ln2.from_left(t, factor->view());
    }
    token_ = t;
  }

  std::shared_ptr<const layer_point<T>> at_;
  cpu backend_;
  paths ways_;
  bool norms_behind_;
  attention_jacobian<T> attention_;
  mlp_jacobian<T> mlp_;
  tensor<T, 2> mid_, other_;  // (vector, tokens hidden)
  std::size_t token_ = std::numeric_limits<std::size_t>::max();
  tensor<double, 2> full_, through_mlp_, right_;  // (hidden, hidden), the first two of token_
};

static_assert(linear_operator<layer_jacobian<float>> && block_operator<layer_jacobian<double>>);

/// d resid_post of the last / d resid_pre of the first of consecutive layers, all paths counted.
///
///     span_jacobian<float> jacobian{linearise<float>(opt, tokens, 2, 3), opt.backend()};  // layers 2, 3, 4
template <class T>
class span_jacobian {
 public:
  using scalar = T;

  explicit span_jacobian(const std::vector<std::shared_ptr<const layer_point<T>>>& points, const cpu& backend = cpu{},
                         layer_norm norm = layer_norm::inside) {
    for (const auto& at : points) layers_.emplace_back(at, backend, paths::all, norm);
  }

  [[nodiscard]] std::size_t tokens() const noexcept { return layers_.front().tokens(); }
  [[nodiscard]] std::size_t width() const noexcept { return layers_.front().width(); }
  [[nodiscard]] std::size_t rows() const noexcept { return layers_.front().rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }

  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    chain(x, y, [&](std::size_t i, auto from, auto to) { layers_[i].apply(from, to); });
  }
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
    chain(y, x, [&](std::size_t i, auto from, auto to) { layers_[layers_.size() - 1 - i].apply_transposed(from, to); });
  }

 private:
  /// `step(i, from, to)` for each i, the last `to` being `out`.
  template <class Step>
  void chain(tensor_view<const T, 2> in, tensor_view<T, 2> out, Step&& step) {
    if (between_.rows() != in.rows()) between_ = tensor<T, 2>{{in.rows(), cols()}};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const bool to_out = (layers_.size() - 1 - i) % 2 == 0;
      const tensor_view<T, 2> to = to_out ? out : between_.view();
      step(i, in, to);
      in = to;
    }
  }

  std::vector<layer_jacobian<T>> layers_;
  tensor<T, 2> between_;
};

static_assert(linear_operator<span_jacobian<float>> && linear_operator<span_jacobian<double>>);

}  // namespace optscope

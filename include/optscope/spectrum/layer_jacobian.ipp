// SPDX-License-Identifier: MIT
#pragma once
// Bodies of layer_jacobian.hpp.

#include <algorithm>
#include <optscope/backend/elementwise.hpp>
#include <optscope/spectrum/layer_jacobian.hpp>
#include <optscope/spectrum/products.hpp>
#include <utility>

namespace optscope {
namespace detail {

/// out = a + b; b may be empty, out may be a.
template <class T>
void sum_rows(tensor_view<const T, 2> a, tensor_view<const T, 2> b, tensor_view<T, 2> out) {
  for (std::size_t i = 0; i < out.rows(); ++i) {
    if (a.row(i).data() != out.row(i).data()) std::ranges::copy(a.row(i), out.row(i).data());
    if (b.rows() != 0) kernel::add(b.row(i).data(), b.cols(), out.row(i).data());
  }
}

inline void add_identity(tensor_view<double, 2> m) {
  for (std::size_t i = 0; i < m.rows(); ++i) m(i, i) += 1;
}

}  // namespace detail

template <class T>
layer_jacobian<T>::layer_jacobian(std::shared_ptr<const layer_point<T>> at, const backend_threads& backend, paths ways,
                                  layer_norm norm)
    : at_{std::move(at)},
      backend_{backend},
      ways_{ways},
      norms_after_{norm == layer_norm::inside && !at_->shape.pre_layer_norm},
      attention_{at_, backend, norms_after_ ? layer_norm::outside : norm},
      mlp_{at_, backend, norms_after_ ? layer_norm::outside : norm} {}

template <class T>
void layer_jacobian<T>::apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  prepare(x.rows());
  const tensor_view<T, 2> mid = mid_.view();
  attention_.apply(x, y);
  detail::sum_rows<T>(y, x, mid);
  norm(at_->ln1, mid);
  if (ways_ == paths::blocks) {
    norm(at_->ln1, y);
  } else {
    detail::sum_rows<T>(mid, {}, y);
  }
  mlp_.apply(mid, other_.view());
  detail::sum_rows<T>(y, other_.view(), y);
  norm(at_->ln2, y);
}

template <class T>
void layer_jacobian<T>::apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
  prepare(y.rows());
  const tensor_view<T, 2> mid = mid_.view(), other = other_.view();
  detail::sum_rows<T>(y, {}, mid);
  norm_transposed(at_->ln2, mid);
  mlp_.apply_transposed(mid, other);     // Mᵀ
  detail::sum_rows<T>(mid, other, mid);  // I + Mᵀ
  norm_transposed(at_->ln1, mid);
  attention_.apply_transposed(mid, x);
  if (ways_ == paths::blocks) {
    norm_transposed(at_->ln1, other);
    detail::sum_rows<T>(x, other, x);
  } else {
    detail::sum_rows<T>(x, mid, x);
  }
}

template <class T>
void layer_jacobian<T>::block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
  requires std::same_as<T, double>
{
  if constexpr (std::same_as<T, double>) {  // clang 14 instantiates it for float, too
    const std::size_t d = width();
    if (t != token_) make_factors(t);
    attention_.block(t, u, out);
    if (u > t) return;
    if (ways_ == paths::all && t == u) detail::add_identity(out);
    for (std::size_t i = 0; i < d; ++i) std::ranges::copy(out.row(i), right_.row(i).data());
    product::for_rows(backend_.pool(), d, [&](std::size_t first, std::size_t count, std::size_t) {
      product::ab<double>(full_.view().slice(first, count), right_.view(), out.slice(first, count));
    });
    if (ways_ == paths::blocks && t == u) {
      for (std::size_t i = 0; i < d; ++i) kernel::add(through_mlp_.row(i).data(), d, out.row(i).data());
    }
  }
}

template <class T>
void layer_jacobian<T>::prepare(std::size_t vectors) {
  if (mid_.rows() == vectors) return;
  mid_ = tensor<T, 2>{{vectors, cols()}};
  other_ = tensor<T, 2>{{vectors, cols()}};
}

template <class T>
void layer_jacobian<T>::norm(const norm_jacobian<T>& by, tensor_view<T, 2> x) const {
  for (std::size_t i = 0; norms_after_ && i < x.rows(); ++i) by.apply(0, tokens_of(x, i), tokens_of(x, i));
}

template <class T>
void layer_jacobian<T>::norm_transposed(const norm_jacobian<T>& by, tensor_view<T, 2> x) const {
  for (std::size_t i = 0; norms_after_ && i < x.rows(); ++i) {
    by.apply_transposed(0, tokens_of(x, i), tokens_of(x, i));
  }
}

template <class T>
tensor_view<T, 2> layer_jacobian<T>::tokens_of(tensor_view<T, 2> x, std::size_t i) const {
  return {x.row(i).data(), {tokens(), width()}};
}

/// full = L2 (I + M_t) L1 and through_mlp = L2 M_t L1.
template <class T>
void layer_jacobian<T>::make_factors(std::size_t t)
  requires std::same_as<T, double>
{
  if constexpr (std::same_as<T, double>) {  // clang 14 instantiates it for float, too
    const std::size_t d = width();
    if (full_.rows() != d) full_ = through_mlp_ = right_ = tensor<double, 2>{{d, d}};
    mlp_.block(t, t, full_.view());
    through_mlp_ = full_;
    detail::add_identity(full_.view());
    for (tensor<double, 2>* factor : {&full_, &through_mlp_}) {
      if (!norms_after_) break;
      at_->ln1.from_right(t, factor->view());
      at_->ln2.from_left(t, factor->view());
    }
    token_ = t;
  }
}

template <class T>
span_jacobian<T>::span_jacobian(const std::vector<std::shared_ptr<const layer_point<T>>>& points,
                                const backend_threads& backend, layer_norm norm) {
  for (const auto& at : points) layers_.emplace_back(at, backend, paths::all, norm);
}

template <class T>
void span_jacobian<T>::apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  chain(x, y, [&](std::size_t i, auto from, auto to) { layers_[i].apply(from, to); });
}

template <class T>
void span_jacobian<T>::apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
  chain(y, x, [&](std::size_t i, auto from, auto to) { layers_[layers_.size() - 1 - i].apply_transposed(from, to); });
}

/// `step(i, from, to)` for each i, the last `to` being `out`.
template <class T>
template <class Step>
void span_jacobian<T>::chain(tensor_view<const T, 2> in, tensor_view<T, 2> out, Step&& step) {
  if (between_.rows() != in.rows()) between_ = tensor<T, 2>{{in.rows(), cols()}};
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool to_out = (layers_.size() - 1 - i) % 2 == 0;
    const tensor_view<T, 2> to = to_out ? out : between_.view();
    step(i, in, to);
    in = to;
  }
}

#ifdef OPTSCOPE_COMPILED
template class layer_jacobian<float>;
template class layer_jacobian<double>;
template class span_jacobian<float>;
template class span_jacobian<double>;
#endif

}  // namespace optscope

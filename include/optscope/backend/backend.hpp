// SPDX-License-Identifier: MIT
#pragma once
// The backend concept: the arithmetic that a model is computed with.

#include <concepts>
#include <cstddef>
#include <optscope/backend/host_backend.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>

namespace optscope {

/// One text's part in attention: q (m, hidden) of its last m positions, k and v (t, hidden) of all; z (m, hidden) is
/// the result.
template <class T, class Space = host_memory>
struct attention_text {
  tensor_view<const T, 2, Space> q, k, v;
  tensor_view<T, 2, Space> z;
};

namespace detail {
/// Any function of a view that a backend lends.
struct body_of_a_view {
  template <class View>
  void operator()(const View&) const {}
};

/// The memory half of a backend.
template <class B, class T, class Space>
concept owns_memory =
    memory_space<Space> &&
    requires(B backend, std::size_t count, tensor_view<const T, 2, Space> in, tensor_view<T, 2, Space> out,
             tensor_view<const T, 3, Space> cube_in, tensor_view<T, 3, Space> cube, std::span<const row_range> rows,
             body_of_a_view body, pointer_to<const T, Space> vector) {
      { backend.template allocate<T>(count) } -> std::same_as<typename Space::template buffer<T>>;
      backend.copy(in, out);
      backend.write(out, body);
      backend.write(cube, body);
      backend.read(in, rows, body);
      backend.read(cube_in, rows, body);
      backend.edit(out, rows, body);
      backend.edit(cube, rows, body);
      backend.norm_scale(in, out);
      backend.hide_later_keys(cube, T{});
      backend.sum_heads(cube_in, cube_in, vector, out);
    };

/// The arithmetic of a backend.
template <class B, class T, class Space>
concept computes =
    requires(B backend, const B& same, tensor_view<const T, 2, Space> in, matrix_view<T, Space> weights,
             tensor_view<T, 2, Space> out, tensor_view<T, 3, Space> square, tensor_view<const T, 3, Space> pattern,
             std::span<const attention_text<T, Space>> texts, pointer_to<const T, Space> vector, std::size_t count) {
      backend.linear(in, weights, vector, out);
      backend.layer_norm(in, vector, vector, out);
      backend.activate(activation::relu, out);
      backend.add(in, out);
      backend.attention(texts, count);
      backend.attention_scores(in, in, square);
      backend.attention_softmax(square);
      backend.attention_mix(pattern, in, out);
      { same.row_invariant() } -> std::same_as<bool>;
      { same.pool() } -> std::same_as<thread_pool&>;
      { same.with_threads(count) } -> std::same_as<B>;
    };

/// What a backend needs in addition if the host cannot read its memory.
template <class B, class T, class Space>
concept serves_the_host = Space::host || requires(B backend, std::size_t count, tensor_view<const T, 2, Space> in,
                                                  pointer_to<const T, Space> vector, tensor_view<T, 2, Space> out,
                                                  tensor_view<std::byte, 2, Space> bytes, body_of_a_view body) {
  backend.layer_norm(in, vector, vector, in, out);
  { backend.template allocate<std::byte>(count) } -> std::same_as<typename Space::template buffer<std::byte>>;
  backend.write(bytes, body);
};
}  // namespace detail

/// What a type must have to compute in scalar T: the forward pass, generation and everything else that runs a model
/// uses these members and no others.
///
/// All views are row-major, and (m, k) means m rows of k elements; rows may be further apart in memory than they are
/// long (`stride()`). A result never overlaps an operand unless it says so below. Any size may be 0.
///
/// **Memory.** Activations, keys and values, and the weights that are multiplied are in the backend's memory, which
/// `B::space` names (a `memory_space`). A backend of the host's memory inherits this half from `host_backend`. Where
/// the host cannot read the memory, `pointer_to<const T, space>` is a `device_pointer`, and only these members touch
/// it:
///
/// - `allocate<T>(n)`: a `space::buffer<T>` of n elements, unspecified.
/// - `copy(x, y)`: y = x, both (m, n). y may overlap x if it begins before x does.
/// - `write(y, body)`: calls `body` with a view of the host's memory, of y's shape, and copies what that leaves into y.
/// - `read(x, rows, body)`: calls `body` with a constant view of the host's memory, of x's shape, in which the elements
///   of `rows`, `row_range`s in order, are x's and all others unspecified.
/// - `edit(y, rows, body)`: as `read`, with a view that `body` may change; then these rows are copied back.
///
/// The bodies may call the backend. `read`, `write` and `edit` take ranks 2 and 3; rows are those of the first axis.
///
/// **Arithmetic.**
///
/// - `linear(x, w, bias, y)`: y (m, n) = x (m, k) wᵀ + bias; w (n, k), [out, in], a `matrix_view`, which has elements
///   of the type they are stored in, and a scale for each row where it is `scaled`; bias (n) or null.
/// - `layer_norm(x, gamma, beta, y)`: y = (x - mean) / sqrt(var + 1e-5) * gamma + beta for each row of x (m, n), with
///   the biased variance; gamma and beta (n) or null; y may be x.
/// - `norm_scale(x, scale)`: scale (m, 1) = sqrt(var + 1e-5) of each row of x.
/// - `activate(kind, x)`: the nonlinearity of the MLP, in place.
/// - `add(x, y)`: y += x, both (m, n).
/// - `attention(texts, heads)`: causal self-attention of every `attention_text`, head by head; query i is at position
///   t - m + i.
/// - `attention_scores(q, k, scores)`: its first step for one text, for probes: scores (heads, m, t) =
///   q·k / sqrt(head_dim), minus infinity for later keys.
/// - `attention_softmax(scores)`: its second step, softmax of each row in place.
/// - `attention_mix(pattern, v, z)`: its third step, z (m, hidden) = pattern (heads, m, t) times v (t, hidden). The
///   steps give the bits of `attention`.
/// - `hide_later_keys(square, value)`: sets square (heads, m, t) to `value` where the key is later than the position.
/// - `sum_heads(shares, before, bias, y)`: y (m, n) = sum over the heads of shares (m, heads, n) + bias (n) or null, in
///   the rows in which `shares` differs from `before`; the other rows of y stay.
/// - `row_invariant()`: true if a row of `linear` has the same bits whatever other rows are computed with it. Texts are
///   then computed together, otherwise one at a time, so that no result depends on what else is in the batch.
/// - `pool()`: the threads for work outside the backend, such as reading weights and analyses.
/// - `with_threads(n)`: a backend of the same kind with n threads of its own.
///
/// **If the host cannot read the memory**, also
///
/// - `layer_norm(x, gamma, beta, scale, y)`: each row divided by its scale (m, 1) instead of its own; where they are
///   equal, with the bits of `layer_norm`.
/// - `allocate<std::byte>` and `write` for views of bytes (m, n), by which weights are copied as they are stored.
/// - optional: `free_memory()`, in bytes, by which layers are kept there or copied for every run; `scale_and_add`, with
///   which editors act there (`detail::edits_rows` in probe/editor.hpp).
///
/// Copies of a backend share its threads and memory. Members may be templates, or overloads for one scalar only:
///
///     struct reference : host_backend {
///       void linear(tensor_view<const float, 2> x, matrix_view<float> w, const float* bias,
///                   tensor_view<float, 2> y);
///       …
///     };
///     static_assert(backend_for<reference, float>);
///     model<any_opt, float, reference> opt{files, reference{}};
///
/// README.md in this folder has a whole backend.
template <class B, class T>
concept backend_for =
    std::copy_constructible<B> && requires { typename B::space; } && detail::owns_memory<B, T, typename B::space> &&
    detail::computes<B, T, typename B::space> && detail::serves_the_host<B, T, typename B::space>;

/// What gradients need in addition: `linear_backward(x, w, y)`, y (m, n) = x (m, k) w with w (k, n): back through
/// `linear`.
template <class B, class T>
concept gradient_backend_for =
    backend_for<B, T> &&
    requires(B backend, tensor_view<const T, 2, typename B::space> in, matrix_view<T, typename B::space> weights,
             tensor_view<T, 2, typename B::space> out) { backend.linear_backward(in, weights, out); };

}  // namespace optscope

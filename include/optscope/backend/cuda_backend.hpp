// SPDX-License-Identifier: MIT
#pragma once
// The backend on a CUDA device, whatever runs its kernels: a GPU, or an emulator in tests. Needs no CUDA toolkit.

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/cuda_errors.hpp>
#include <optscope/backend/device_product.hpp>
#include <optscope/backend/host_backend.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// How a model of float multiplies. A model of double has one way: fp64.
enum class cuda_mode {
  fp32,   ///< factors and sums in fp32
  split,  ///< fp32's accuracy on tensor cores: activations as two F16 or three BF16; weights are F16 or BF16
  tf32,   ///< factors in TF32, sums in fp32
  bf16    ///< factors in BF16, sums in fp32
};

[[nodiscard]] constexpr const char* name_of(cuda_mode mode) noexcept {
  switch (mode) {
    case cuda_mode::split: return "split";
    case cuda_mode::tf32: return "tf32";
    case cuda_mode::bf16: return "bf16";
    default: return "fp32";
  }
}

struct cuda_settings {
  int device = 0;  ///< as nvidia-smi counts them
  cuda_mode mode = cuda_mode::fp32;
  std::size_t threads = 0;  ///< of the host, for reading weights and analyses; 0: as many as it has cores
  /// Texts are computed together: for cards on which benchmarks/cuda/check.sh has found that a row of a product has the
  /// same bits whatever the other rows are. Otherwise one at a time, so that nothing depends on the batch.
  bool rows_are_independent = false;
};

namespace detail {

/// Owns elements of a device's memory; a copy copies them.
template <class T, class Device>
class device_buffer;

/// The memory of a device.
template <class Device>
struct device_memory {
  static constexpr bool host = false;
  template <class T>
  using buffer = device_buffer<T, Device>;
};

template <class T, class Device>
class device_buffer {
 public:
  device_buffer() = default;
  device_buffer(std::shared_ptr<Device> device, std::size_t size) : device_{std::move(device)}, size_{size} {
    if (size_ != 0) memory_ = static_cast<T*>(device_->allocate(size_ * sizeof(T)));
  }
  device_buffer(const device_buffer& other) : device_buffer{other.device_, other.size_} {
    if (size_ != 0)
      device_->copy_within(memory_, size_ * sizeof(T), other.memory_, size_ * sizeof(T), size_ * sizeof(T), 1);
  }
  device_buffer(device_buffer&& other) noexcept { swap(other); }
  device_buffer& operator=(device_buffer other) noexcept {
    swap(other);
    return *this;
  }
  ~device_buffer() {
    if (memory_ != nullptr) device_->free(memory_);
  }

  [[nodiscard]] device_pointer<T, device_memory<Device>> data() noexcept {
    return device_pointer<T, device_memory<Device>>{memory_};
  }
  [[nodiscard]] device_pointer<const T, device_memory<Device>> data() const noexcept {
    return device_pointer<const T, device_memory<Device>>{memory_};
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void swap(device_buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
  }

  std::shared_ptr<Device> device_;
  T* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// The parameter `attention_part` of the kernels: cuda/attention.cuh.
template <class T>
struct device_attention_part {
  const T *q, *k, *v;
  T *z, *pattern;
  std::size_t q_stride, k_stride, v_stride, z_stride, queries, keys;
};

}  // namespace detail

/// The backend `cuda`, over a type of device. A device has, in bytes, `allocate`, `free`, `copy_to_device`,
/// `copy_to_host`, `copy_within`, `wait`, `free_memory`; `launch<T>(kernel, blocks, shared bytes, arguments…)` with
/// blocks of `threads` threads that have at most `shared_bytes()`; and `multiply(device_product)`. What it starts
/// happens in order.
///
/// Weights are multiplied as they are stored where rows are few; for many they are converted to what the mode
/// multiplies, some at a time. Which of the two depends on the rows of a call, so texts are computed one at a time
/// unless `rows_are_independent`, and then all products are of many rows.
template <class Device>
class basic_cuda {
 public:
  using space = detail::device_memory<Device>;
  template <class T>
  using pointer = device_pointer<const T, space>;
  template <class T, std::size_t Rank = 2>
  using in = tensor_view<const T, Rank, space>;
  template <class T, std::size_t Rank = 2>
  using out = tensor_view<T, Rank, space>;

  /// Throws `no_cuda_device`, `cuda_toolkit_error`.
  explicit basic_cuda(const cuda_settings& settings = {})
      : settings_{settings},
        pool_{std::make_shared<thread_pool>(settings.threads)},
        device_{std::make_shared<Device>(settings.device)},
        state_{std::make_shared<state>()} {}

  [[nodiscard]] const cuda_settings& settings() const noexcept { return settings_; }
  [[nodiscard]] Device& device() const noexcept { return *device_; }
  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }
  /// Another stream of work on the same device.
  [[nodiscard]] basic_cuda with_threads(std::size_t threads) const {
    cuda_settings settings = settings_;
    settings.threads = threads;
    return basic_cuda{settings};
  }
  [[nodiscard]] bool row_invariant() const noexcept { return settings_.rows_are_independent; }
  /// Bytes that weights, activations and caches can still take.
  [[nodiscard]] std::size_t free_memory() const { return device_->free_memory(); }

  // Memory.

  /// Throws `cuda_out_of_memory`.
  template <class T>
  [[nodiscard]] detail::device_buffer<T, Device> allocate(std::size_t elements) const {
    return {device_, elements};
  }
  template <class T>
  void copy(in<T> from, out<T> to) {
    if (from.size() == 0) return;
    const T *const begin = from.data().get(), *const end = begin + (from.rows() - 1) * from.stride() + from.cols();
    const T* const target = to.data().get();
    if (target < end && begin < target + (to.rows() - 1) * to.stride() + to.cols()) {  // they overlap
      T* const between = scratch<T>(state_->copied, from.size());
      copy_rows(from, out<T>{device_pointer<T, space>{between}, from.shape()});
      copy_rows(in<T>{pointer<T>{between}, from.shape()}, to);
    } else {
      copy_rows(from, to);
    }
  }
  template <class T, std::size_t Rank, class Body>
  void write(out<T, Rank> to, Body&& body) {
    lend<T>(to, [&](tensor_view<T, Rank> lent) {
      body(lent);
      const row_range all{0, to.rows()};
      upload(tensor_view<const T, Rank>{lent}, to, {&all, 1});
    });
  }
  template <class T, std::size_t Rank, class Body>
  void read(tensor_view<T, Rank, space> from, std::span<const row_range> rows, Body&& body) {
    using value = std::remove_const_t<T>;
    lend<value>(from, [&](tensor_view<value, Rank> lent) {
      download(in<value, Rank>{from}, lent, rows);
      body(tensor_view<const value, Rank>{lent});
    });
  }
  template <class T, std::size_t Rank, class Body>
  void edit(out<T, Rank> at, std::span<const row_range> rows, Body&& body) {
    lend<T>(at, [&](tensor_view<T, Rank> lent) {
      download(in<T, Rank>{at}, lent, rows);
      body(lent);
      upload(tensor_view<const T, Rank>{lent}, at, rows);
    });
  }

  // Arithmetic.

  /// Throws `cuda_mode_error` if the mode cannot multiply weights of this type.
  template <class T>
  void linear(in<T> x, const std::type_identity_t<matrix_view<T, space>>& w, std::type_identity_t<pointer<T>> bias,
              out<T> y) {
    if (x.rows() == 0 || w.rows() == 0) return;
    for (std::size_t first = 0; first < w.rows();) {  // the blocks that its rows lie in
      const std::size_t count = rows_of_block(w.slice(first, w.rows() - first));
      const matrix_view<T, space> part = w.slice(first, count);
      const pointer<T> shift = bias == nullptr ? bias : bias + first;
      const out<T> columns = y.columns(first, count);
      if (x.rows() <= most_few_rows && !row_invariant()) {
        few_rows(x, part, shift, columns);
      } else {
        many_rows(x, part, shift, columns);
      }
      first += count;
    }
  }
  template <class T>
  void linear_backward(in<T> x, const std::type_identity_t<matrix_view<T, space>>& w, out<T> y) {
    fill(pointer<T>{}, y);
    if (x.rows() == 0 || w.rows() == 0) return;
    const std::size_t at_once = rows_at_once(w.cols() * sizeof(T));
    for (std::size_t first = 0; first < w.rows(); first += at_once) {
      const std::size_t count = std::min(at_once, w.rows() - first);
      T* const values = scratch<T>(state_->weights, count * w.cols());
      for (std::size_t row = 0; row < count;)
        row += convert(w.slice(first + row, count - row), values + row * w.cols());
      device_->multiply({.arithmetic = exact<T>(),
                         .x = x.data().get() + first,
                         .x_stride = x.stride(),
                         .w = values,
                         .w_stride = w.cols(),
                         .transposed = false,
                         .y = y.data().get(),
                         .y_stride = y.stride(),
                         .m = x.rows(),
                         .n = w.cols(),
                         .k = count,
                         .accumulate = true});
    }
  }

  template <class T>
  void layer_norm(in<T> x, std::type_identity_t<pointer<T>> gamma, std::type_identity_t<pointer<T>> beta, out<T> y) {
    norm<T>(x, gamma, beta, nullptr, y.data().get(), y.stride(), nullptr);
  }
  template <class T>
  void layer_norm(in<T> x, std::type_identity_t<pointer<T>> gamma, std::type_identity_t<pointer<T>> beta, in<T> scale,
                  out<T> y) {
    assert(scale.stride() == 1 || scale.rows() <= 1);
    norm<T>(x, gamma, beta, scale.data().get(), y.data().get(), y.stride(), nullptr);
  }
  template <class T>
  void norm_scale(in<T> x, out<T> scale) {
    assert(scale.stride() == 1 || scale.rows() <= 1);
    norm<T>(x, {}, {}, nullptr, nullptr, 0, scale.data().get());
  }
  template <class T>
  void activate(activation kind, out<T> x) {
    launch_columns<T>("activate", x.rows(), x.cols(), static_cast<int>(kind), x.data().get(), x.stride(), x.rows(),
                      x.cols());
  }
  template <class T>
  void add(in<T> x, out<T> y) {
    launch_columns<T>("add", y.rows(), y.cols(), x.data().get(), x.stride(), y.data().get(), y.stride(), y.rows(),
                      y.cols());
  }

  template <class T>
  void attention(std::span<const attention_text<T, space>> texts, std::size_t heads) {
    std::vector<detail::device_attention_part<T>> parts;
    std::size_t queries = 0, keys = 0, head_dim = 0;
    for (const attention_text<T, space>& text : texts) {
      if (text.q.rows() == 0 || heads == 0) continue;
      parts.push_back({.q = text.q.data().get(),
                       .k = text.k.data().get(),
                       .v = text.v.data().get(),
                       .z = text.z.data().get(),
                       .pattern = nullptr,
                       .q_stride = text.q.stride(),
                       .k_stride = text.k.stride(),
                       .v_stride = text.v.stride(),
                       .z_stride = text.z.stride(),
                       .queries = text.q.rows(),
                       .keys = text.k.rows()});
      queries = std::max(queries, text.q.rows());
      keys = std::max(keys, text.k.rows());
      head_dim = text.k.cols() / heads;
    }
    if (parts.empty()) return;
    // As many queries of a block as its memory has room for; bits do not depend on it.
    const auto needed = [&](std::size_t tile) {
      return (Device::threads + (tile + 3) / 4 * 4 * head_dim + tile * keys) * sizeof(T);
    };
    std::size_t tile = std::min<std::size_t>(most_queries, queries);
    while (tile > 1 && needed(tile) > device_->shared_bytes()) --tile;
    if (needed(tile) > device_->shared_bytes()) {
      throw cuda_error{"CUDA: attention over " + std::to_string(keys) + " positions needs " +
                       std::to_string(needed(1)) + " bytes of a block's memory, this device has " +
                       std::to_string(device_->shared_bytes())};
    }
    constexpr std::size_t most_texts = 65535;  // of a grid
    const std::size_t bytes = parts.size() * sizeof parts[0];
    auto* const uploaded =
        reinterpret_cast<detail::device_attention_part<T>*>(scratch<std::byte>(state_->parts, bytes));
    device_->copy_to_device(uploaded, bytes, parts.data(), bytes, bytes, 1);
    for (std::size_t first = 0; first < parts.size(); first += most_texts) {
      const std::size_t count = std::min(most_texts, parts.size() - first);
      device_->template launch<T>("attention", {(queries + tile - 1) / tile, heads, count}, needed(tile),
                                  static_cast<const detail::device_attention_part<T>*>(uploaded + first), head_dim,
                                  tile);
    }
  }
  template <class T>
  void attention_scores(in<T> q, in<T> k, out<T, 3> scores) {
    if (scores.size() == 0) return;
    assert(scores.contiguous());
    const std::size_t heads = scores.rows(), head_dim = k.cols() / heads, tile = step_queries;
    device_->template launch<T>("attention_scores", {(q.rows() + tile - 1) / tile, heads, 1},
                                tile * head_dim * sizeof(T), q.data().get(), q.stride(), k.data().get(), k.stride(),
                                q.rows(), k.rows(), head_dim, tile, scores.data().get());
  }
  template <class T>
  void attention_softmax(out<T, 3> scores) {
    if (scores.size() == 0) return;
    assert(scores.contiguous());
    const std::size_t queries = scores.extent(1), tile = step_queries;
    device_->template launch<T>("attention_softmax", {(queries + tile - 1) / tile, scores.rows(), 1},
                                Device::threads * sizeof(T), scores.data().get(), queries, scores.extent(2), tile);
  }
  template <class T>
  void attention_mix(in<T, 3> pattern, in<T> v, out<T> z) {
    if (pattern.size() == 0) return;
    const std::size_t queries = pattern.extent(1), heads = pattern.rows(), tile = step_queries;
    device_->template launch<T>("attention_mix", {(queries + tile - 1) / tile, heads, 1}, 0, pattern.data().get(),
                                pattern.stride(), v.data().get(), v.stride(), queries, pattern.extent(2),
                                v.cols() / heads, tile, z.data().get(), z.stride());
  }
  template <class T>
  void hide_later_keys(out<T, 3> square, T value) {
    if (square.size() == 0) return;
    assert(square.contiguous());
    device_->template launch<T>("hide_later_keys", {square.extent(1), square.rows(), 1}, 0, square.data().get(),
                                square.extent(1), square.extent(2), value);
  }
  template <class T>
  void sum_heads(in<T, 3> shares, in<T, 3> before, std::type_identity_t<pointer<T>> bias, out<T> sum) {
    if (shares.size() == 0) return;
    assert(shares.contiguous() && before.contiguous());
    device_->template launch<T>("sum_heads", {shares.rows(), 1, 1}, Device::threads * sizeof(int), shares.data().get(),
                                before.data().get(), shares.extent(1), shares.extent(2), bias.get(), sum.data().get(),
                                sum.stride());
  }

  // What probes that take the device's views can do there: those with operator()(Site, place, view, backend).

  /// Of these rows of x: x = factor (column) x + addend (column), or the addend alone where the factor is NaN. A factor
  /// of 1 and an addend of 0 do nothing. Rows in order, factor and addend as long as a row; all three are the host's.
  template <class T>
  void scale_and_add(out<T> x, const std::vector<std::size_t>& rows, std::type_identity_t<std::span<const T>> factor,
                     std::type_identity_t<std::span<const T>> addend) {
    if (rows.empty() || x.cols() == 0) return;
    assert(factor.size() == x.cols() && addend.size() == x.cols());
    const std::size_t row_bytes = rows.size() * sizeof(std::size_t), bytes = row_bytes + 2 * x.cols() * sizeof(T);
    auto* const uploaded = scratch<std::byte>(state_->parts, bytes);
    const auto put = [&](std::size_t at, const void* from, std::size_t size) {
      device_->copy_to_device(uploaded + at, size, from, size, size, 1);
    };
    put(0, rows.data(), row_bytes);
    put(row_bytes, factor.data(), factor.size_bytes());
    put(row_bytes + factor.size_bytes(), addend.data(), addend.size_bytes());
    const T* const on_device = reinterpret_cast<const T*>(uploaded + row_bytes);
    launch_columns<T>("edit", rows.size(), x.cols(), x.data().get(), x.stride(),
                      reinterpret_cast<const unsigned long long*>(uploaded), rows.size(), x.cols(), on_device,
                      on_device + x.cols());
  }
  /// x (row, column) -= leftᵀ right (x - bias), in double; left and right (direction, column), bias (column) or null:
  /// 0. With right = left, orthonormal, that projects the directions out.
  template <class T>
  void erase(out<T> x, in<double> left, in<double> right, pointer<double> bias) {
    if (x.rows() == 0) return;
    assert(left.contiguous() && right.contiguous());
    device_->template launch<T>("erase", {x.rows(), 1, 1}, (Device::threads + left.rows()) * sizeof(double),
                                x.data().get(), x.stride(), x.cols(), left.rows(), left.data().get(),
                                right.data().get(), bias.get());
  }
  /// Adds rows (row, unit) to running moments (4, unit): mean, sum of squared deviations, least, most; `count` rows
  /// have passed before. The bits are those of `running_moments`.
  template <class T>
  void add_moments(in<T> x, std::size_t count, out<double> moments) {
    if (x.rows() == 0) return;
    const auto of = [&](std::size_t row) { return moments.data().get() + row * moments.stride(); };
    launch_columns<T>("add_moments", 1, x.cols(), x.data().get(), x.stride(), x.rows(), x.cols(), count, of(0), of(1),
                      of(2), of(3));
  }
  /// The k largest of each row of x, the largest first, of equal ones the first: values and places, both (row, k). NaN
  /// is passed over; a place that is left over is the largest number. With k = 1 it is the arg max.
  template <class T>
  void largest(in<T> x, out<T> values, out<unsigned long long> places) {
    if (x.rows() == 0 || values.cols() == 0) return;
    assert(values.contiguous() && places.contiguous());
    struct ranked {
      T value;
      unsigned long long place;
    };
    device_->template launch<T>("largest", {x.rows(), 1, 1}, Device::threads * sizeof(ranked), x.data().get(),
                                x.stride(), std::size_t{1}, x.cols(), static_cast<const unsigned char*>(nullptr),
                                values.cols(), values.data().get(), places.data().get());
  }

 private:
  static constexpr std::size_t most_few_rows = 16;  // above, converting the weights costs less than reading them again
  static constexpr std::size_t most_queries = 16;   // of a block in attention
  static constexpr std::size_t step_queries = 8;    // likewise, in a step of it; a multiple of four
  static constexpr std::size_t converted_bytes = std::size_t{1} << 26;  // of weights at once

  struct host_block {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size = 0;
  };
  /// Memory that is kept from call to call. Copies of a backend share it.
  struct state {
    detail::device_buffer<std::byte, Device> copied, parts, weights, activations, products, scales;
    std::vector<host_block> lent;  // the host's, not in use
  };

  template <class T>
  [[nodiscard]] T* scratch(detail::device_buffer<std::byte, Device>& memory, std::size_t elements) {
    if (memory.size() < elements * sizeof(T)) {
      memory = {};  // first, so that both need not fit
      memory = allocate<std::byte>(elements * sizeof(T));
    }
    return reinterpret_cast<T*>(memory.data().get());
  }

  /// Calls `body` with a view of the host's memory, of the shape of `like`. It may be called again from the body.
  template <class T, class View, class Body>
  void lend(const View& like, Body&& body) {
    host_block block;
    if (!state_->lent.empty()) {
      block = std::move(state_->lent.back());
      state_->lent.pop_back();
    }
    const std::size_t size = like.size() * sizeof(T);
    if (block.size < size) block = {std::make_unique_for_overwrite<std::byte[]>(size), size};
    body(tensor_view<T, View::rank>{reinterpret_cast<T*>(block.memory.get()), like.shape()});
    state_->lent.push_back(std::move(block));
  }
  template <class T, std::size_t Rank>
  void upload(tensor_view<const T, Rank> from, out<T, Rank> to, std::span<const row_range> rows) {
    for (const row_range& range : rows) {
      device_->copy_to_device(to.data().get() + range.first * to.stride(), to.stride() * sizeof(T),
                              from.data() + range.first * from.stride(), from.stride() * sizeof(T),
                              to.cols() * sizeof(T), range.count);
    }
  }
  template <class T, std::size_t Rank>
  void download(in<T, Rank> from, tensor_view<T, Rank> to, std::span<const row_range> rows) {
    for (const row_range& range : rows) {
      device_->copy_to_host(to.data() + range.first * to.stride(), to.stride() * sizeof(T),
                            from.data().get() + range.first * from.stride(), from.stride() * sizeof(T),
                            to.cols() * sizeof(T), range.count);
    }
  }
  template <class T>
  void copy_rows(in<T> from, out<T> to) {
    device_->copy_within(to.data().get(), to.stride() * sizeof(T), from.data().get(), from.stride() * sizeof(T),
                         from.cols() * sizeof(T), from.rows());
  }

  /// A kernel that takes a thread for each column.
  template <class T, class... Arguments>
  void launch_columns(const char* kernel, std::size_t rows, std::size_t columns, Arguments... arguments) {
    if (rows == 0 || columns == 0) return;
    constexpr std::size_t most_rows = 65535;  // of a grid
    device_->template launch<T>(
        kernel, {(columns + Device::threads - 1) / Device::threads, std::min(rows, most_rows), 1}, 0, arguments...);
  }
  template <class T>
  void norm(in<T> x, pointer<T> gamma, pointer<T> beta, const T* given, T* y, std::size_t y_stride, T* scale) {
    if (x.rows() == 0) return;
    device_->template launch<T>("layer_norm", {x.rows(), 1, 1}, Device::threads * sizeof(T), x.data().get(), x.stride(),
                                x.cols(), gamma.get(), beta.get(), given, y, y_stride, scale);
  }
  template <class T>
  void fill(pointer<T> values, out<T> y) {
    launch_columns<T>("fill_rows", y.rows(), y.cols(), values.get(), y.data().get(), y.stride(), y.rows(), y.cols());
  }

  template <class T>
  [[nodiscard]] static constexpr detail::device_arithmetic exact() noexcept {
    return std::is_same_v<T, double> ? detail::device_arithmetic::f64 : detail::device_arithmetic::f32;
  }
  [[nodiscard]] static std::size_t rows_at_once(std::size_t row_bytes) {
    return std::max<std::size_t>(256, converted_bytes / std::max<std::size_t>(row_bytes, 1) / 256 * 256);
  }
  /// How many rows of w, at least one, lie at the same distance from each other.
  template <class T>
  [[nodiscard]] static std::size_t rows_of_block(const matrix_view<T, space>& w) {
    const std::size_t bytes = w.stride() * size_of(w.type()), last = w.rows() - 1;
    if (w.row(last) == w.row(0) + last * bytes) return w.rows();
    std::size_t rows = 1;
    while (w.row(rows) == w.row(0) + rows * bytes) ++rows;
    return rows;
  }
  /// Converts the rows of w up to the end of their block to `to` (row, column), and returns how many they are.
  template <class T>
  std::size_t convert(const matrix_view<T, space>& w, T* to) {
    const std::size_t rows = rows_of_block(w);
    launch_columns<T>("convert", rows, w.cols(), static_cast<const void*>(w.row(0).get()), static_cast<int>(w.type()),
                      w.stride(), rows, w.cols(), to, w.cols());
    return rows;
  }

  template <class T>
  void few_rows(in<T> x, const matrix_view<T, space>& w, pointer<T> bias, out<T> y) {
    constexpr std::size_t warps = Device::threads / 32, at_once = 8;
    device_->template launch<T>("few_rows", {(w.rows() + warps - 1) / warps, (x.rows() + at_once - 1) / at_once, 1}, 0,
                                x.data().get(), x.stride(), x.rows(), static_cast<const void*>(w.row(0).get()),
                                static_cast<int>(w.type()), w.stride(), w.rows(), w.cols(), bias.get(), y.data().get(),
                                y.stride());
  }

  /// By the device's products, some columns of y at a time so that converted weights take little memory.
  template <class T>
  void many_rows(in<T> x, const matrix_view<T, space>& w, pointer<T> bias, out<T> y) {
    const bool wide = std::is_same_v<T, double>;
    const cuda_mode mode = settings_.mode;
    if constexpr (!std::is_same_v<T, double>) {
      if (mode == cuda_mode::split) return split_rows(x, w, bias, y);
    }
    detail::device_product product{
        .arithmetic = exact<T>(), .m = x.rows(), .k = x.cols(), .accumulate = bias != nullptr};
    product.x = x.data().get();
    product.x_stride = x.stride();
    dtype factors = matrix_view<T>::own_type;
    if (!wide && mode == cuda_mode::tf32) product.arithmetic = detail::device_arithmetic::tf32;
    if (!wide && mode == cuda_mode::bf16) {
      product.arithmetic = detail::device_arithmetic::bf16;
      factors = dtype::bf16;
      auto* const rounded = scratch<std::uint16_t>(state_->activations, x.size());
      launch_columns<T>("convert_to_bfloat16", x.rows(), x.cols(), static_cast<const void*>(x.data().get()),
                        static_cast<int>(dtype::f32), x.stride(), x.rows(), x.cols(), rounded);
      product.x = rounded;
      product.x_stride = x.cols();
    }
    if (bias != nullptr) fill(bias, y);
    const std::size_t at_once = w.type() == factors ? w.rows() : rows_at_once(w.cols() * size_of(factors));
    for (std::size_t first = 0; first < w.rows(); first += at_once) {
      const std::size_t count = std::min(at_once, w.rows() - first);
      const matrix_view<T, space> some = w.slice(first, count);
      product.w = some.row(0).get();
      product.w_stride = w.stride();
      if (w.type() != factors) {
        product.w_stride = w.cols();
        if (factors == dtype::bf16) {
          auto* const rounded = scratch<std::uint16_t>(state_->weights, count * w.cols());
          launch_columns<T>("convert_to_bfloat16", count, w.cols(), static_cast<const void*>(some.row(0).get()),
                            static_cast<int>(w.type()), w.stride(), count, w.cols(), rounded);
          product.w = rounded;
        } else {
          T* const values = scratch<T>(state_->weights, count * w.cols());
          convert(some, values);
          product.w = values;
        }
      }
      product.n = count;
      product.y = y.data().get() + first;
      product.y_stride = y.stride();
      device_->multiply(product);
    }
  }

  /// Each row as a sum of F16 or BF16, whose products with the weights as they are stored are added up.
  void split_rows(in<float> x, const matrix_view<float, space>& w, pointer<float> bias, out<float> y) {
    const bool half = w.type() == dtype::f16;
    if (!half && w.type() != dtype::bf16) {
      throw cuda_mode_error{"", "mode split", "weights stored as F16 or BF16",
                            std::string{name_of(w.type())} + "; the modes fp32, tf32 and bf16 take these"};
    }
    const std::size_t m = x.rows(), n = w.rows(), k = x.cols(), parts = half ? 2 : 3;
    auto* const factors = scratch<std::uint16_t>(state_->activations, parts * m * k);
    float* scale = nullptr;
    if (half) {
      scale = scratch<float>(state_->scales, m);
      device_->template launch<float>("split_to_half", {m, 1, 1}, Device::threads * sizeof(float), x.data().get(),
                                      x.stride(), m, k, factors, scale);
    } else {
      launch_columns<float>("split_to_bfloat16", m, k, x.data().get(), x.stride(), m, k, factors);
    }
    auto* const products = scratch<float>(state_->products, parts * m * n);
    device_->multiply({.arithmetic = half ? detail::device_arithmetic::f16 : detail::device_arithmetic::bf16,
                       .x = factors,
                       .x_stride = k,
                       .w = w.row(0).get(),
                       .w_stride = w.stride(),
                       .y = products,
                       .y_stride = n,
                       .m = parts * m,
                       .n = n,
                       .k = k});
    launch_columns<float>("combine_parts", m, n, static_cast<const float*>(products), parts, m, n,
                          half ? 1 / 2048.0f : 1.0f, static_cast<const float*>(scale), bias.get(), y.data().get(),
                          y.stride());
  }

  cuda_settings settings_;
  std::shared_ptr<thread_pool> pool_;
  std::shared_ptr<Device> device_;
  std::shared_ptr<state> state_;
};

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// A backend whose memory the host cannot touch, without a device: its addresses are mapped without any right, so that
// whoever reads or writes there is killed. Only the backend knows where the same memory is mapped a second time.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/cpu.hpp>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

/// The two mappings. Memory that was freed is not given out again, and faults in both.
class fence {
 public:
  static fence& all() {
    static fence one;
    return one;
  }
  std::byte* allocate(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    const std::scoped_lock lock{mutex_};
    if (size > bytes_ - used_) throw std::bad_alloc{};
    std::byte* const address = device_ + used_;
    used_ += size;
    std::memset(host(address), 0xff, size);  // not a number, in float and in double
    return address;
  }
  void free(std::byte* address, std::size_t bytes) {
    mprotect(host(address), rounded(bytes), PROT_NONE);
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, address - device_, static_cast<off_t>(rounded(bytes)));
  }
  /// The address at which the backend, and nobody else, reaches a device's address.
  template <class T>
  T* host(T* device) const {
    return reinterpret_cast<T*>(host_ +
                                (reinterpret_cast<std::uintptr_t>(device) - reinterpret_cast<std::uintptr_t>(device_)));
  }

 private:
  fence() : file_{memfd_create("fence", 0)} {
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes_)) != 0) throw std::bad_alloc{};
    const auto map = [&](int rights) {
      void* const at = mmap(nullptr, bytes_, rights, MAP_SHARED | MAP_NORESERVE, file_, 0);
      if (at == MAP_FAILED) throw std::bad_alloc{};
      return static_cast<std::byte*>(at);
    };
    device_ = map(PROT_NONE);
    host_ = map(PROT_READ | PROT_WRITE);
  }
  static std::size_t rounded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 4095) / 4096 * 4096; }

  static constexpr std::size_t bytes_ = std::size_t{1} << 40;
  int file_;
  std::byte *device_ = nullptr, *host_ = nullptr;
  std::size_t used_ = 0;
  std::mutex mutex_;
};

template <class T>
class fenced_buffer;

struct fenced_memory {
  static constexpr bool host = false;
  template <class T>
  using buffer = fenced_buffer<T>;
};

template <class T>
class fenced_buffer {
 public:
  fenced_buffer() = default;
  explicit fenced_buffer(std::size_t size)
      : data_{reinterpret_cast<T*>(fence::all().allocate(size * sizeof(T)))}, size_{size} {}
  fenced_buffer(const fenced_buffer& other) : fenced_buffer{other.size_} {
    if (size_ != 0) std::memcpy(fence::all().host(data_), fence::all().host(other.data_), size_ * sizeof(T));
  }
  fenced_buffer(fenced_buffer&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  fenced_buffer& operator=(fenced_buffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~fenced_buffer() {
    if (data_ != nullptr) fence::all().free(reinterpret_cast<std::byte*>(data_), size_ * sizeof(T));
  }
  [[nodiscard]] optscope::device_pointer<T, fenced_memory> data() const {
    return optscope::device_pointer<T, fenced_memory>{data_};
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The arithmetic of `cpu` on the readable side of the fence, so that its bits are those of `cpu`. It has only members
/// that a device would have.
class fenced {
  template <class T, std::size_t Rank>
  using device = optscope::tensor_view<T, Rank, fenced_memory>;
  template <class T>
  using vector = std::type_identity_t<optscope::device_pointer<const T, fenced_memory>>;

 public:
  using space = fenced_memory;

  /// What the host was lent so far.
  struct traffic {
    std::size_t read = 0, edited = 0, written = 0;  // elements
  };

  explicit fenced(optscope::cpu on = optscope::cpu{2}, std::size_t free_memory = std::size_t{1} << 40)
      : on_{std::move(on)}, free_memory_{free_memory}, traffic_{std::make_shared<traffic>()} {}

  [[nodiscard]] traffic& moved() const { return *traffic_; }
  [[nodiscard]] std::size_t free_memory() const { return free_memory_; }
  [[nodiscard]] optscope::thread_pool& pool() const { return on_.pool(); }
  [[nodiscard]] fenced with_threads(std::size_t threads) const {
    return fenced{on_.with_threads(threads), free_memory_};
  }
  [[nodiscard]] bool row_invariant() const { return on_.row_invariant(); }

  template <class T>
  [[nodiscard]] fenced_buffer<T> allocate(std::size_t elements) const {
    return fenced_buffer<T>{elements};
  }
  template <class T>
  void copy(device<const T, 2> from, device<T, 2> to) {
    on_.copy(host(from), host(to));
  }
  template <class T, std::size_t Rank, class Body>
  void write(device<T, Rank> to, Body&& body) {
    std::vector<T> lent(to.size());
    body(optscope::tensor_view<T, Rank>{lent.data(), to.shape()});
    move_rows(optscope::tensor_view<const T, Rank>{lent.data(), to.shape()}, host(to), all_of(to));
    traffic_->written += to.size();
  }
  template <class T, std::size_t Rank, class Body>
  void read(device<const T, Rank> from, std::span<const optscope::row_range> rows, Body&& body) {
    std::vector<T> lent = lend(from, rows, traffic_->read);
    body(optscope::tensor_view<const T, Rank>{lent.data(), from.shape()});
  }
  template <class T, std::size_t Rank, class Body>
  void edit(device<T, Rank> in, std::span<const optscope::row_range> rows, Body&& body) {
    std::vector<T> lent = lend(device<const T, Rank>{in}, rows, traffic_->edited);
    body(optscope::tensor_view<T, Rank>{lent.data(), in.shape()});
    move_rows(optscope::tensor_view<const T, Rank>{lent.data(), in.shape()}, host(in), rows);
  }

  template <class T>
  void scale_and_add(device<T, 2> x, const std::vector<std::size_t>& rows, std::span<const T> factor,
                     std::span<const T> addend) {
    for (const std::size_t row : rows) {
      const std::span<T> values = host(x).row(row);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(factor[i])) {
          values[i] = addend[i];
        } else {
          if (factor[i] != 1) values[i] *= factor[i];
          if (addend[i] != 0) values[i] += addend[i];
        }
      }
    }
  }
  template <class T>
  void norm_scale(device<const T, 2> x, device<T, 2> scale) {
    on_.norm_scale(host(x), host(scale));
  }
  template <class T>
  void hide_later_keys(device<T, 3> square, T value) {
    on_.hide_later_keys(host(square), value);
  }
  template <class T>
  void sum_heads(device<const T, 3> shares, device<const T, 3> before, vector<T> bias, device<T, 2> sum) {
    on_.sum_heads(host(shares), host(before), host(bias), host(sum));
  }

  template <class T>
  void linear(device<const T, 2> x, const optscope::matrix_view<T, space>& w, vector<T> bias, device<T, 2> y) {
    on_.linear(host(x), host(w), host(bias), host(y));
  }
  template <class T>
  void linear_backward(device<const T, 2> x, const optscope::matrix_view<T, space>& w, device<T, 2> y) {
    on_.linear_backward(host(x), host(w), host(y));
  }
  template <class T>
  void layer_norm(device<const T, 2> x, vector<T> gamma, vector<T> beta, device<T, 2> y) {
    on_.layer_norm(host(x), host(gamma), host(beta), host(y));
  }
  template <class T>
  void layer_norm(device<const T, 2> x, vector<T> gamma, vector<T> beta, device<const T, 2> scale, device<T, 2> y) {
    optscope::detail::layer_norm_by_scale<T, optscope::cpu, optscope::host_memory>(on_, host(x), host(gamma),
                                                                                   host(beta), host(scale), host(y));
  }
  template <class T>
  void activate(optscope::activation kind, device<T, 2> x) {
    on_.activate(kind, host(x));
  }
  template <class T>
  void add(device<const T, 2> x, device<T, 2> y) {
    on_.add(host(x), host(y));
  }
  template <class T>
  void attention(std::span<const optscope::attention_text<T, space>> texts, std::size_t heads) {
    std::vector<optscope::attention_text<T>> here;
    for (const auto& text : texts) {
      here.push_back({.q = host(text.q), .k = host(text.k), .v = host(text.v), .z = host(text.z)});
    }
    on_.attention(std::span<const optscope::attention_text<T>>{here}, heads);
  }
  template <class T>
  void attention_scores(device<const T, 2> q, device<const T, 2> k, device<T, 3> scores) {
    on_.attention_scores(host(q), host(k), host(scores));
  }
  template <class T>
  void attention_softmax(device<T, 3> scores) {
    on_.attention_softmax(host(scores));
  }
  template <class T>
  void attention_mix(device<const T, 3> pattern, device<const T, 2> v, device<T, 2> z) {
    on_.attention_mix(host(pattern), host(v), host(z));
  }

 private:
  template <class T>
  static T* host(optscope::device_pointer<T, space> at) {
    return at == nullptr ? nullptr : fence::all().host(at.get());
  }
  template <class T, std::size_t Rank>
  static optscope::tensor_view<T, Rank> host(device<T, Rank> view) {
    return {host(view.data()), view.shape(), view.stride()};
  }
  template <class T>
  static optscope::matrix_view<T> host(const optscope::matrix_view<T, space>& w) {
    return {host(w.row(0)), w.type(), w.shape(), w.stride()};
  }
  template <class View>
  static std::vector<optscope::row_range> all_of(View view) {
    return {{.first = 0, .count = view.rows()}};
  }
  template <class T, std::size_t Rank>
  static void move_rows(optscope::tensor_view<const T, Rank> from, optscope::tensor_view<T, Rank> to,
                        std::span<const optscope::row_range> rows) {
    for (const optscope::row_range& range : rows) {
      for (std::size_t i = range.first; i < range.first + range.count; ++i) {
        std::ranges::copy(from.row(i), to.row(i).data());
      }
    }
  }
  /// Elements of other rows are not numbers.
  template <class T, std::size_t Rank>
  static std::vector<T> lend(device<const T, Rank> from, std::span<const optscope::row_range> rows,
                             std::size_t& counter) {
    std::vector<T> lent(from.size(), std::numeric_limits<T>::quiet_NaN());
    move_rows(host(from), optscope::tensor_view<T, Rank>{lent.data(), from.shape()}, rows);
    for (const optscope::row_range& range : rows) counter += range.count * from.cols();
    return lent;
  }

  optscope::cpu on_;
  std::size_t free_memory_;
  std::shared_ptr<traffic> traffic_;
};

static_assert(optscope::gradient_backend_for<fenced, float> && optscope::gradient_backend_for<fenced, double>);

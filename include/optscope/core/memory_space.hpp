// SPDX-License-Identifier: MIT
#pragma once
// Memory spaces: whose memory a view refers to, as a type.

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace optscope {

/// The host's memory, where every view is unless its type says otherwise.
struct host_memory {
  static constexpr bool host = true;
  template <class T>
  using buffer = std::vector<T>;
};

/// A type that names a memory: `host`, whether the host can read and write it, and `buffer<T>`, which owns elements of
/// it. A buffer has `data()`, a `pointer_to<T, Space>`, and `size()`; copying it copies its elements.
///
///     struct cuda_memory {
///       static constexpr bool host = false;
///       template <class T>
///       using buffer = cuda_buffer<T>;
///     };
template <class Space>
concept memory_space = requires {
  { Space::host } -> std::convertible_to<bool>;
  typename Space::template buffer<float>;
};

/// An address in a memory that the host cannot read: it has arithmetic, and no operator to reach an element.
template <class T, class Space>
class device_pointer {
 public:
  device_pointer() = default;
  device_pointer(std::nullptr_t) noexcept {}  // NOLINT: implicit, as for pointers
  explicit device_pointer(T* address) noexcept : address_{address} {}
  template <class U>
    requires std::same_as<const U, T>
  device_pointer(const device_pointer<U, Space>& other) noexcept : address_{other.get()} {}  // NOLINT: likewise

  /// For the backend alone.
  [[nodiscard]] T* get() const noexcept { return address_; }

  friend device_pointer operator+(device_pointer from, std::size_t elements) noexcept {
    return device_pointer{from.address_ + elements};
  }
  friend bool operator==(const device_pointer&, const device_pointer&) = default;

 private:
  T* address_ = nullptr;
};

/// `T*` for the host's memory, else a `device_pointer`.
template <class T, class Space>
using pointer_to = std::conditional_t<Space::host, T*, device_pointer<T, Space>>;

namespace detail {
/// The same address, of elements of another type.
template <class To, class From>
[[nodiscard]] To* as_pointer_to(From* from) noexcept {
  return reinterpret_cast<To*>(from);
}
template <class To, class From, class Space>
[[nodiscard]] device_pointer<To, Space> as_pointer_to(device_pointer<From, Space> from) noexcept {
  return device_pointer<To, Space>{reinterpret_cast<To*>(from.get())};
}
}  // namespace detail

}  // namespace optscope

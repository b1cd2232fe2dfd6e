// SPDX-License-Identifier: MIT
#pragma once
// Files that hold the state of a long run, so that it can be stopped and resumed.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace optscope {

class mapped_file;
class output_file;

namespace detail {

template <class T>
inline constexpr bool is_number = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// Writes fields one after another: numbers as they are in memory, lists after their length.
class state_writer {
 public:
  state_writer(const std::string& path, const std::string& of);

  template <class... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }
  void commit();

 private:
  void write(const void* data, std::size_t size);

  template <class T>
  void put(const T& field) {
    if constexpr (is_number<T>) {
      write(&field, sizeof field);
    } else {
      static_assert(
          requires { fields_of(*this, const_cast<T&>(field)); },
          "a type that is saved needs a function `fields_of(file, value)` that calls `file` with its members");
      fields_of(*this, const_cast<T&>(field));
    }
  }
  void put(const std::string& text);
  template <class T>
  void put(const std::vector<T>& list) {
    if constexpr (is_number<T>) {
      put(std::span<const T>{list});
    } else {
      put(list.size());
      for (const T& item : list) put(item);
    }
  }
  template <class T>
  void put(std::span<T> numbers) {
    put(numbers.size());
    write(numbers.data(), numbers.size_bytes());
  }
  template <class T, std::size_t Rank>
  void put(const tensor<T, Rank>& values) {
    for (const std::size_t extent : values.shape()) put(extent);
    write(values.data(), values.size() * sizeof(T));
  }
  template <class T>
  void put(const std::optional<T>& maybe) {
    put(maybe.has_value());
    if (maybe) put(*maybe);
  }

  std::shared_ptr<output_file> file_;
};

/// Reads them back. Never reads past the end of the file and never allocates more than the file can hold.
class state_reader {
 public:
  explicit state_reader(const std::string& path);

  /// Reads the header. Throws `bad_input` unless the state is that of the run `of`.
  void require_run(const std::string& of);
  template <class... Fields>
  void operator()(Fields&... fields) {
    (get(fields), ...);
  }
  void require_end() const;

 private:
  [[noreturn]] void broken(const std::string& found) const;
  [[noreturn]] void ends_early() const;
  void copy(void* target, std::size_t count, std::size_t size);
  /// A number of items of at least `size` bytes that the rest of the file can hold.
  [[nodiscard]] std::size_t length(std::size_t size);

  template <class T>
  void get(T& field) {
    if constexpr (is_number<T>) {
      copy(&field, 1, sizeof field);
    } else {
      fields_of(*this, field);
    }
  }
  void get(bool& field);
  void get(std::string& text);
  template <class T>
  void get(std::vector<T>& list) {
    if constexpr (is_number<T>) {
      list.resize(length(sizeof(T)));
      copy(list.data(), list.size(), sizeof(T));
    } else {
      list.resize(length(1));
      for (T& item : list) get(item);
    }
  }
  template <class T>
  void get(std::span<T> numbers) {
    const std::size_t count = length(sizeof(T));
    if (count != numbers.size()) {
      broken("an array of " + std::to_string(count) + " numbers instead of " + std::to_string(numbers.size()));
    }
    copy(numbers.data(), count, sizeof(T));
  }
  template <class T, std::size_t Rank>
  void get(tensor<T, Rank>& values) {
    std::array<std::size_t, Rank> shape{};
    std::size_t left = rest_.size() / sizeof(T);  // elements that the rest of the file can hold
    for (std::size_t& extent : shape) {
      get(extent);
      if (extent != 0 && extent > left) ends_early();
      left = extent == 0 ? left : left / extent;
    }
    values = tensor<T, Rank>{shape};
    copy(values.data(), values.size(), sizeof(T));
  }
  template <class T>
  void get(std::optional<T>& maybe) {
    bool present = false;
    get(present);
    if (present) get(maybe.emplace());
  }

  std::shared_ptr<const mapped_file> file_;
  std::span<const std::byte> rest_;
};

[[nodiscard]] bool state_present(const std::string& path);

}  // namespace detail

/// Writes values to a file, with lines that say which run they belong to.
///
///     write_state("attn-5.state", "model opt-125m\nlayer 5\ntokens 2 45 67", band, steps);
///
/// A value is a number, an enumerator, a string, a span of numbers, a vector, optional or tensor of values, or a type
/// with a function that lists its members, found by its namespace:
///
///     template <class File>
///     void fields_of(File& file, my_state& state) { file(state.steps, state.sums); }
///
/// The file appears under its name only when it is whole. It is in this machine's byte order. Throws `file_error` if
/// it cannot be created, `write_error` if writing fails, for example because the disk is full.
template <class... Content>
void write_state(const std::string& path, const std::string& of, const Content&... content) {
  detail::state_writer file{path, of};
  file(content...);
  file.commit();
}

/// Reads what `write_state` wrote for the same run; `false` if there is no such file. A span must be as long as the one
/// that was written. Throws `bad_input` if the file belongs to another run, naming the first line that differs, or if
/// it is broken; do not use `content` then.
template <class... Content>
[[nodiscard]] bool read_state(const std::string& path, const std::string& of, Content&... content) {
  if (!detail::state_present(path)) return false;
  detail::state_reader file{path};
  file.require_run(of);
  file(content...);
  file.require_end();
  return true;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/saved_state.ipp>
#endif

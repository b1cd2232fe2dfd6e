// SPDX-License-Identifier: MIT
#pragma once
// Files in which an analysis that was stopped, or is done, waits for the next run.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/band_matrix.hpp>
#include <optscope/spectrum/density.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace optscope {
namespace detail {

/// Writes fields one after another: numbers as they are in memory, lists behind their length.
class state_writer {
 public:
  explicit state_writer(output_file& file) : file_{file} {}

  template <class... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }

 private:
  template <class T>
  void put(const T& field) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      file_.write(std::as_bytes(std::span{&field, 1}));
    } else {
      fields_of(*this, const_cast<T&>(field));
    }
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(list.size());
    if constexpr (std::is_arithmetic_v<T>) {
      file_.write(std::as_bytes(std::span{list}));
    } else {
      for (const T& item : list) put(item);
    }
  }
  void put(const std::string& text) {
    put(text.size());
    file_.write(text);
  }
  template <class T>
  void put(const tensor<T, 2>& matrix) {
    put(matrix.extent(0));
    put(matrix.extent(1));
    file_.write(std::as_bytes(std::span{matrix.data(), matrix.size()}));
  }
  template <class T>
  void put(const std::optional<T>& maybe) {
    put(maybe.has_value());
    if (maybe) put(*maybe);
  }

  output_file& file_;
};

/// Reads them back; never beyond the end of the file, and never more than it can hold.
class state_reader {
 public:
  explicit state_reader(std::filesystem::path path) : file_{std::move(path)}, rest_{file_.bytes()} {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (get(fields), ...);
  }
  void require_end() const {
    if (!rest_.empty()) broken(std::to_string(rest_.size()) + " bytes more");
  }
  [[noreturn]] void broken(const std::string& found) const {
    throw bad_input{file_.path().string(), "", "a saved analysis", found};
  }

 private:
  void copy(void* target, std::size_t count, std::size_t size) {
    if (count > rest_.size() / size) broken("its beginning alone");
    if (count != 0) std::memcpy(target, rest_.data(), count * size);
    rest_ = rest_.subspan(count * size);
  }
  template <class T>
  void get(T& field) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      copy(&byte, 1, 1);
      if (byte > 1) broken("something else");
      field = byte == 1;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      copy(&field, 1, sizeof field);
    } else {
      fields_of(*this, field);
    }
  }
  /// A number of items that the rest of the file can hold.
  [[nodiscard]] std::size_t length(std::size_t size) {
    std::size_t count = 0;
    get(count);
    if (count > rest_.size() / size) broken("its beginning alone");
    return count;
  }
  template <class T>
  void get(std::vector<T>& list) {
    if constexpr (std::is_arithmetic_v<T>) {
      list.resize(length(sizeof(T)));
      copy(list.data(), list.size(), sizeof(T));
    } else {
      list.resize(length(1));
      for (T& item : list) get(item);
    }
  }
  void get(std::string& text) {
    text.resize(length(1));
    copy(text.data(), text.size(), 1);
  }
  template <class T>
  void get(tensor<T, 2>& matrix) {
    std::size_t rows = 0, cols = 0;
    get(rows);
    get(cols);
    if (cols != 0 && rows > rest_.size() / sizeof(T) / cols) broken("its beginning alone");
    matrix = tensor<T, 2>{{rows, cols}};
    copy(matrix.data(), matrix.size(), sizeof(T));
  }
  template <class T>
  void get(std::optional<T>& maybe) {
    bool there = false;
    get(there);
    if (there) get(maybe.emplace());
  }

  mapped_file file_;
  std::span<const std::byte> rest_;
};

template <class File>
void fields_of(File& file, band_matrix& band) {
  file(band.size, band.width, band.symmetric, band.exponent, band.diagonals, band.unreduced, band.reduced);
}
template <class File, class T>
void fields_of(File& file, quadrature_state<T>& at) {
  file(at.rows, at.cols, at.probes, at.steps, at.seed, at.null_width, at.single, at.single_left, at.single_right);
  file(at.alpha, at.beta, at.done, at.left, at.right);
}
template <class File>
void fields_of(File& file, spectral_density& density) {
  file(density.dimension, density.zeros, density.steps, density.single, density.nodes, density.weights);
  file(density.radau_nodes, density.radau_weights, density.whole);
}
template <class File>
void fields_of(File& file, spectrum& found) {
  file(found.values, found.size, found.method, found.reason, found.floor, found.outcome, found.note);
  file(found.lapack_info, found.seconds, found.bytes, found.density);
}
template <class File>
void fields_of(File& file, leading_directions& directions) {
  file(directions.rows, directions.shares);
}

inline constexpr std::string_view state_magic = "optscope analysis 2";

}  // namespace detail

/// Writes a `band_matrix`, `quadrature_state`, `spectrum`, `leading_directions`, numbers, vectors of them, or several
/// of these, with lines that say of what analysis they are. The file is of this machine's byte order.
///
///     write_state("attn-5.state", "model opt-125m\nlayer 5\ntokens 2 45 67", band);
///
/// Throws what `output_file` throws: `write_error` where the disk is full.
template <class... Content>
void write_state(const std::filesystem::path& path, const std::string& of, const Content&... content) {
  output_file file{path};
  detail::state_writer{file}(std::string{detail::state_magic}, of, content...);
  file.commit();
}

/// Reads what `write_state` wrote for the same analysis; `false` if there is no such file. Throws `bad_input` if it is
/// of another analysis, naming the first line that differs, or not whole; `content` is then not to be used.
template <class... Content>
[[nodiscard]] bool read_state(const std::filesystem::path& path, const std::string& of, Content&... content) {
  if (!file_present(path)) return false;
  detail::state_reader file{path};
  std::string magic, found;
  file(magic);
  if (magic != detail::state_magic) file.broken("something else");
  file(found);
  if (found != of) {
    std::size_t at = 0;  // where the first line that differs begins
    for (std::size_t i = 0; i < found.size() && i < of.size() && found[i] == of[i]; ++i)
      at = of[i] == '\n' ? i + 1 : at;
    const auto line = [at](const std::string& text) {
      return at < text.size() ? text.substr(at, std::min<std::size_t>(text.find('\n', at) - at, 80)) : "nothing more";
    };
    throw bad_input{path.string(), "", line(of), line(found)};
  }
  file(content...);
  file.require_end();
  return true;
}

}  // namespace optscope

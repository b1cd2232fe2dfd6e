// SPDX-License-Identifier: MIT
#pragma once
// Bodies of npy.hpp.

#include <charconv>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/interop/npy.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace optscope::detail {

struct npy_header {
  std::string_view type;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

/// Parses the Python dict of a header: exactly the three keys, in any order, each once.
class npy_header_parser {
 public:
  npy_header_parser(std::string file, std::string_view text) : file_{std::move(file)}, rest_{text} {}

  [[nodiscard]] npy_header parse() {
    std::optional<std::string_view> type;
    std::optional<bool> fortran;
    std::optional<std::vector<std::size_t>> shape;
    need('{');
    while (!skip('}')) {
      const std::string_view key = string();
      need(':');
      if (key == "descr" && !type) {
        type = string();
      } else if (key == "fortran_order" && !fortran) {
        fortran = truth();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse("the keys descr, fortran_order and shape, each once");
      }
      if (!skip(',')) {
        need('}');
        break;
      }
    }
    spaces();
    if (rest_ != "\n") refuse("spaces and a line end after the dict");
    if (!type || !fortran || !shape) refuse("the keys descr, fortran_order and shape");
    return {*type, *fortran, std::move(*shape)};
  }

 private:
  [[noreturn]] void refuse(std::string expected) const {
    throw array_error{file_, "header", std::move(expected),
                      rest_.empty() ? "its end" : detail::quoted(rest_.substr(0, 24))};
  }
  void spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }
  bool skip(char c) {
    spaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char c) {
    if (!skip(c)) refuse(std::string{"'"} + c + "'");
  }
  std::string_view string() {
    spaces();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const auto end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("a string");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool truth() {
    spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (rest_.substr(0, word.size()) == word) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    }
    refuse("True or False");
  }
  std::vector<std::size_t> tuple() {
    constexpr std::size_t most_axes = 64;  // numpy's limit
    std::vector<std::size_t> numbers;
    need('(');
    while (!skip(')')) {
      spaces();
      std::size_t number = 0;
      const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
      if (code != std::errc{} || numbers.size() == most_axes) refuse("a shape of whole numbers");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      numbers.push_back(number);
      const bool comma = skip(',');
      if (!comma && numbers.size() == 1) refuse("',': a tuple of one number has a comma");
      if (!comma) {
        need(')');
        break;
      }
    }
    return numbers;
  }

  std::string file_;
  std::string_view rest_;
};

[[nodiscard]] inline std::string npy_shape_text(std::span<const std::size_t> shape) {
  std::string text = "(";
  for (const std::size_t extent : shape) text += std::to_string(extent) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) text.resize(text.size() - 2);
  return text + ")";
}

OPTSCOPE_INLINE std::string npy_header_text(std::string_view type, std::span<const std::size_t> shape) {
  std::string dict =
      "{'descr': '" + std::string{type} + "', 'fortran_order': False, 'shape': " + npy_shape_text(shape) + ", }";
  constexpr std::size_t before = 10, alignment = 64;
  dict.append(alignment - 1 - (before + dict.size()) % alignment, ' ');
  dict += '\n';
  std::string text{"\x93NUMPY\x01\x00", 8};
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict;
}

OPTSCOPE_INLINE npy_array open_npy(const std::filesystem::path& path, std::string_view type, std::size_t element_size,
                                   std::size_t rank) {
  mapped_file file{path};
  const auto bytes = file.bytes();
  const std::string name = path.string();
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (text.substr(0, 6) != "\x93NUMPY") {
    throw array_error{name, "", "a .npy file",
                      text.empty() ? "an empty file" : "bytes that begin with " + quoted(text.substr(0, 8))};
  }
  const unsigned major = text.size() > 7 ? static_cast<unsigned char>(text[6]) : 0;
  if (major < 1 || major > 3 || text[7] != '\0') {
    throw array_error{name, "version", "1.0, 2.0 or 3.0",
                      text.size() > 7
                          ? std::to_string(major) + "." + std::to_string(static_cast<unsigned char>(text[7]))
                          : "the end of the file"};
  }
  const std::size_t length_size = major == 1 ? 2 : 4, before = 8 + length_size;
  std::uint32_t length = 0;  // the low bytes come first
  if (bytes.size() >= before) std::memcpy(&length, bytes.data() + 8, length_size);
  if (bytes.size() < before || bytes.size() - before < length) {
    throw array_error{name, "header", std::to_string(length) + " bytes",
                      std::to_string(bytes.size() - std::min(before, bytes.size()))};
  }
  const auto header = npy_header_parser{name, text.substr(before, length)}.parse();
  if (header.type != type) {
    throw array_error{name, "descr", std::string{type}, quoted(header.type)};
  }
  if (header.fortran_order) throw array_error{name, "fortran_order", "False", "True"};
  if (header.shape.size() != rank) {
    throw array_error{name, "shape", std::to_string(rank) + " axes", npy_shape_text(header.shape)};
  }

  const auto data = bytes.subspan(before + length);
  const std::size_t room = data.size() / element_size;
  std::size_t size = 1;
  const bool empty = std::find(header.shape.begin(), header.shape.end(), std::size_t{0}) != header.shape.end();
  for (std::size_t axis = 0; axis < rank && !empty; ++axis) {
    if (header.shape[axis] > room / size) {
      throw array_error{name, "data", npy_shape_text(header.shape) + " elements of " + std::string{header.type},
                        std::to_string(data.size()) + " bytes"};
    }
    size *= header.shape[axis];
  }
  if (empty) size = 0;
  if (data.size() != size * element_size) {
    throw array_error{name, "data", std::to_string(size * element_size) + " bytes", std::to_string(data.size())};
  }
  return {.file = std::move(file), .shape = header.shape, .data = data};
}

OPTSCOPE_INLINE void refuse_npy_size(const char* more_or_less) {
  throw std::logic_error{".npy: " + std::string{more_or_less} + " data than its shape says"};
}

}  // namespace optscope::detail

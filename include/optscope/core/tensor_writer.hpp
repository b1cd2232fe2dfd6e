// SPDX-License-Identifier: MIT
#pragma once
// Concepts of files of named tensors: what statistics and captured activations are written to and read from.

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/dtype.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// Writes a file of named tensors of `T`, float or double. It is made with a path, the list of all tensors and
/// metadata; then the values of all of them are appended in that order, row-major, in pieces of any length; `commit()`
/// finishes the file. `item_type` is made of a name, a shape and an element type:
///
///     struct text_writer {
///       struct item_type { std::string name; std::vector<std::size_t> shape; dtype type; };
///       text_writer(const std::filesystem::path&, std::vector<item_type>, const std::map<std::string, std::string>&);
///       void append(std::span<const double> values);
///       void commit();
///     };
///
/// `safetensors_writer` is one.
template <class W, class T>
concept tensor_writer = requires(const std::filesystem::path& path, std::vector<typename W::item_type> items,
                                 std::string name, std::vector<std::size_t> shape,
                                 const std::map<std::string, std::string>& metadata) {
  items.push_back(typename W::item_type{name, shape, dtype::f32});
  W{path, items, metadata};
} && requires(W& writer, std::span<const T> values) {
  writer.append(values);
  writer.commit();
};

/// A `tensor_writer` whose file survives a kill: made again with the same arguments, `bytes_found()` is the number of
/// bytes of data that the last process has left; `keep(bytes)` discards the rest of them, and `append` continues there;
/// `sync()` returns when all that was appended is safe. `resumable_safetensors` is one.
template <class W, class T>
concept resumable_writer = tensor_writer<W, T> && requires(W& writer, const W& found, std::size_t bytes) {
  { found.bytes_found() } -> std::convertible_to<std::size_t>;
  writer.keep(bytes);
  writer.sync();
};

/// A table of named tensors, as read from a file: `tensors` is a map from names to tensors with a shape, a number of
/// elements, and a copy of them as double. `tensor_table`, from `read_safetensors`, is one.
template <class R>
concept tensor_reader = requires(const R& table, const std::string& name, double* values) {
  { table.tensors.find(name) == table.tensors.end() } -> std::convertible_to<bool>;
  { table.tensors.find(name)->second.shape() } -> std::convertible_to<std::vector<std::size_t>>;
  { table.tensors.find(name)->second.size() } -> std::convertible_to<std::size_t>;
  table.tensors.find(name)->second.copy_to(values);
};

}  // namespace optscope

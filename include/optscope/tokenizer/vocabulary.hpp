// SPDX-License-Identifier: MIT
#pragma once
// The entries of a byte-level vocabulary and their ids: vocab.json, or a part of tokenizer.json.

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// The entries of a vocabulary: symbols of `byte_map` strung together, and special tokens as they are. Ids run from 0
/// to size - 1, and every byte has an entry, so that any text has ids.
class vocabulary {
 public:
  /// Throws `file_error` if `file` cannot be read, `tokenizer_error` if it is not as described above.
  explicit vocabulary(const std::filesystem::path& file);

  /// The same of a value inside a file; `item` names it in messages. Throws the file's type of error.
  vocabulary(const json_file& file, const json_value& entries, const std::string& item);

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const std::string& entry(token_id id) const { return entries_.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] token_id of_byte(unsigned char byte) const noexcept { return byte_ids_[byte]; }

  [[nodiscard]] std::optional<token_id> find(std::string_view entry) const noexcept;

  /// The id of `entry`, appended if it is not there.
  token_id add(std::string_view entry);

 private:
  [[nodiscard]] std::size_t probe(std::string_view entry) const noexcept;
  token_id* slot_of(std::string_view entry) noexcept { return &slots_[probe(entry)]; }

  std::vector<std::string> entries_;
  std::vector<token_id> slots_;  // open addressing: at least half of them are empty
  std::array<token_id, 256> byte_ids_{};
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/vocabulary.ipp>
#endif

// SPDX-License-Identifier: MIT
#pragma once
// vocab.json: the entries of a byte-level vocabulary and their ids.

#include <array>
#include <bit>
#include <filesystem>
#include <functional>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/byte_map.hpp>
#include <optscope/tokenizer/json_file.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// The entries of vocab.json: symbols of `byte_map` strung together, special tokens as they are. Ids are 0 to size - 1,
/// each once, and every byte has an entry, so that any text has ids; a file that is not so is a `tokenizer_error`.
class vocabulary {
 public:
  explicit vocabulary(const std::filesystem::path& file) {
    const json_file<tokenizer_error> json{file};
    const auto fail = [&](std::string item, std::string expected, std::string found) {
      throw tokenizer_error{file.string(), std::move(item), std::move(expected), std::move(found)};
    };
    simdjson::dom::object object;
    if (json.root().get(object) != simdjson::SUCCESS) fail("", "an object of entries and ids", described(json.root()));
    std::size_t count = 0;
    for ([[maybe_unused]] const auto field : object) ++count;  // object.size() saturates
    entries_.resize(count);
    std::vector<bool> seen(count);
    slots_.assign(std::bit_ceil(2 * count + 2), -1);
    for (const auto field : object) {
      const std::string item = "entry " + detail::quoted(field.key);
      std::int64_t id = -1;
      if (field.value.get(id) != simdjson::SUCCESS || id < 0 || id >= static_cast<std::int64_t>(count)) {
        fail(item,
             "an id from 0 to " + std::to_string(count - 1) + " (the file has " + std::to_string(count) + " entries)",
             described(field.value));
      }
      const auto index = static_cast<std::size_t>(id);
      if (seen[index]) {
        fail(item, "an id of its own", std::to_string(id) + ", which " + detail::quoted(entries_[index]) + " has");
      }
      if (find(field.key)) fail(item, "every entry once", "it twice");
      seen[index] = true;
      entries_[index] = field.key;
      *slot_of(field.key) = static_cast<token_id>(id);
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::string symbol = byte_map::symbol(static_cast<unsigned char>(byte));
      const std::optional<token_id> id = find(symbol);
      if (!id) fail("", "an entry for every byte", "none for byte " + std::to_string(byte) + ", \"" + symbol + '"');
      byte_ids_[byte] = *id;
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const std::string& entry(token_id id) const { return entries_.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] token_id of_byte(unsigned char byte) const noexcept { return byte_ids_[byte]; }

  [[nodiscard]] std::optional<token_id> find(std::string_view entry) const noexcept {
    const token_id id = slots_[probe(entry)];
    if (id < 0) return std::nullopt;
    return id;
  }

  /// The id of `entry`, appended if it is not there.
  token_id add(std::string_view entry) {
    if (const auto known = find(entry)) return *known;
    const auto id = static_cast<token_id>(entries_.size());
    entries_.emplace_back(entry);
    if (slots_.size() < 2 * entries_.size()) {
      slots_.assign(2 * slots_.size(), -1);
      for (std::size_t i = 0; i + 1 < entries_.size(); ++i) *slot_of(entries_[i]) = static_cast<token_id>(i);
    }
    *slot_of(entry) = id;
    return id;
  }

 private:
  // Open addressing: at least half of the slots are empty.
  [[nodiscard]] std::size_t probe(std::string_view entry) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = std::hash<std::string_view>{}(entry)&mask;
    while (slots_[slot] >= 0 && entries_[static_cast<std::size_t>(slots_[slot])] != entry) slot = (slot + 1) & mask;
    return slot;
  }
  token_id* slot_of(std::string_view entry) noexcept { return &slots_[probe(entry)]; }

  std::vector<std::string> entries_;
  std::vector<token_id> slots_;
  std::array<token_id, 256> byte_ids_{};
};

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of vocabulary.hpp.

#include <bit>
#include <cstdint>
#include <functional>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/tokenizer/byte_map.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE vocabulary::vocabulary(const std::filesystem::path& file) {
  const json_file json = json_file::read<tokenizer_error>(file);
  *this = vocabulary{json, json.root(), ""};
}

OPTSCOPE_INLINE vocabulary::vocabulary(const json_file& json, const json_value& entries, const std::string& name) {
  std::vector<json_value::member> members;
  if (!entries.get(members)) json.refuse(name, "an object of entries and ids", entries.description());
  const std::string prefix = name.empty() ? "" : name + ": ";
  const std::size_t count = members.size();
  entries_.resize(count);
  std::vector<bool> seen(count);
  slots_.assign(std::bit_ceil(2 * count + 2), -1);
  for (const auto& [key, value] : members) {
    const std::string item = prefix + "entry " + detail::quoted(key);
    std::int64_t id = -1;
    if (!value.get(id) || id < 0 || id >= static_cast<std::int64_t>(count)) {
      json.refuse(item,
                  "an id from 0 to " + std::to_string(count - 1) + " (there are " + std::to_string(count) + " entries)",
                  value.description());
    }
    const auto index = static_cast<std::size_t>(id);
    if (seen[index]) {
      json.refuse(item, "a unique id", std::to_string(id) + ", the id of " + detail::quoted(entries_[index]));
    }
    if (find(key)) json.refuse(prefix + "duplicate key " + detail::quoted(key), "", "");
    seen[index] = true;
    entries_[index] = key;
    *slot_of(key) = static_cast<token_id>(id);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string symbol = byte_map::symbol(static_cast<unsigned char>(byte));
    const std::optional<token_id> id = find(symbol);
    if (!id)
      json.refuse(name, "an entry for every byte", "none for byte " + std::to_string(byte) + ", \"" + symbol + '"');
    byte_ids_[byte] = *id;
  }
}

OPTSCOPE_INLINE std::optional<token_id> vocabulary::find(std::string_view entry) const noexcept {
  const token_id id = slots_[probe(entry)];
  if (id < 0) return std::nullopt;
  return id;
}

OPTSCOPE_INLINE token_id vocabulary::add(std::string_view entry) {
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

OPTSCOPE_INLINE std::size_t vocabulary::probe(std::string_view entry) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = std::hash<std::string_view>{}(entry)&mask;
  while (slots_[slot] >= 0 && entries_[static_cast<std::size_t>(slots_[slot])] != entry) slot = (slot + 1) & mask;
  return slot;
}

}  // namespace optscope

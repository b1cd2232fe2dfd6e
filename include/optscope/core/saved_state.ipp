// SPDX-License-Identifier: MIT
#pragma once
// Bodies of saved_state.hpp.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/saved_state.hpp>
#include <string_view>

namespace optscope::detail {

inline constexpr std::string_view state_mark = "optscope state 3";

OPTSCOPE_INLINE state_writer::state_writer(const std::string& path, const std::string& of)
    : file_{std::make_shared<output_file>(path)} {
  put(std::string{state_mark});
  put(of);
}
OPTSCOPE_INLINE void state_writer::write(const void* data, std::size_t size) {
  file_->write(std::span{static_cast<const std::byte*>(data), size});
}
OPTSCOPE_INLINE void state_writer::put(const std::string& text) { put(std::span{text}); }
OPTSCOPE_INLINE void state_writer::commit() { file_->commit(); }

OPTSCOPE_INLINE state_reader::state_reader(const std::string& path)
    : file_{std::make_shared<const mapped_file>(path)}, rest_{file_->bytes()} {}

OPTSCOPE_INLINE void state_reader::require_run(const std::string& of) {
  std::string mark, found;
  get(mark);
  if (mark != state_mark) broken("a file that begins with " + detail::quoted(mark.substr(0, state_mark.size())));
  get(found);
  if (found == of) return;
  std::size_t line = 0;  // where the first line that differs begins
  for (std::size_t i = 0; i < found.size() && i < of.size() && found[i] == of[i]; ++i) {
    if (of[i] == '\n') line = i + 1;
  }
  const auto shown = [line](const std::string& text) {
    return line < text.size() ? text.substr(line, std::min<std::size_t>(text.find('\n', line) - line, 80)) : "the end";
  };
  throw bad_input{file_->path().string(), "", shown(of), shown(found)};
}
OPTSCOPE_INLINE void state_reader::require_end() const {
  if (!rest_.empty()) broken(std::to_string(rest_.size()) + " bytes after its end");
}
OPTSCOPE_INLINE void state_reader::broken(const std::string& found) const {
  throw bad_input{file_->path().string(), "", "the saved state of a run", found};
}
OPTSCOPE_INLINE void state_reader::ends_early() const { broken("only its beginning"); }

OPTSCOPE_INLINE void state_reader::copy(void* target, std::size_t count, std::size_t size) {
  if (count > rest_.size() / size) ends_early();
  if (count != 0) std::memcpy(target, rest_.data(), count * size);
  rest_ = rest_.subspan(count * size);
}
OPTSCOPE_INLINE std::size_t state_reader::length(std::size_t size) {
  std::size_t count = 0;
  copy(&count, 1, sizeof count);
  if (count > rest_.size() / size) ends_early();
  return count;
}
OPTSCOPE_INLINE void state_reader::get(bool& field) {
  std::uint8_t byte = 0;
  copy(&byte, 1, 1);
  if (byte > 1) broken("a truth value of " + std::to_string(byte));
  field = byte == 1;
}
OPTSCOPE_INLINE void state_reader::get(std::string& text) {
  text.resize(length(1));
  copy(text.data(), text.size(), 1);
}

OPTSCOPE_INLINE bool state_present(const std::string& path) { return file_present(path); }

}  // namespace optscope::detail

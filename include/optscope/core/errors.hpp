// SPDX-License-Identifier: MIT
#pragma once
// The exceptions of the library: each names the file, the item in it, what was expected and what was found.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace optscope {
namespace detail {

/// Text from a file, for a message: bytes that are not printable UTF-8 become \xNN; cut after about `limit` bytes.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 120);

[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace detail

/// Base of everything this library throws.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Something the user gave cannot be used: a file, a folder, a text, a selection of layers.
/// `what()` reads `FILE: ITEM: expected EXPECTED, found FOUND`; empty parts are left out. It can be shown as it is,
/// whatever was in the file: one line of UTF-8 without control characters, long parts cut. The programs exit with 3.
class bad_input : public error {
 public:
  bad_input(std::string file, std::string item, std::string expected, std::string found);

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] const std::string& item() const noexcept { return item_; }  ///< tensor, line, key, option
  [[nodiscard]] const std::string& expected() const noexcept { return expected_; }
  [[nodiscard]] const std::string& found() const noexcept { return found_; }

 private:
  struct ready {};  // the parts are already printable
  bad_input(ready, std::string file, std::string item, std::string expected, std::string found);

  std::string file_, item_, expected_, found_;
};

/// A file or folder that cannot be opened, read or created.
struct file_error : bad_input {
  using bad_input::bad_input;
};

/// A checkpoint (config.json, safetensors, torch .bin, index) that is broken or does not fit the model.
struct checkpoint_error : bad_input {
  using bad_input::bad_input;
};

/// A tokenizer file that is broken, or text that is not UTF-8.
struct tokenizer_error : bad_input {
  using bad_input::bad_input;
};

/// An array file (.npy) that is broken or does not have the type or rank asked for.
struct array_error : bad_input {
  using bad_input::bad_input;
};

/// An editor that found nothing to edit in a whole run or generation.
struct unfired_hook : bad_input {
  using bad_input::bad_input;
};

/// Writing failed after it had begun (disk full, input/output error). The programs exit with 1.
struct write_error : error {
  using error::error;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/errors.ipp>
#endif

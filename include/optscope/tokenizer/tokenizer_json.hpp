// SPDX-License-Identifier: MIT
#pragma once
// tokenizer.json: a whole tokenizer in one file, as Hugging Face's tokenizers saves it.

#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A tokenizer.json with the parts that a tokenizer of OPT can have: a BPE model without dropout, prefixes and
/// suffixes, the `ByteLevel` pre-tokenizer, no normalizer, and post-processors `TemplateProcessing` and `ByteLevel`.
/// `Sequence`s of them count as them.
class tokenizer_json {
 public:
  /// Throws `file_error` if `file` cannot be read, `tokenizer_error`, which names the part, if it is broken or has
  /// other parts.
  explicit tokenizer_json(const std::filesystem::path& file);

  [[nodiscard]] vocabulary words() const;
  [[nodiscard]] merge_table merges(const vocabulary& words) const;

  /// In the order of the file; ids are as listed there.
  [[nodiscard]] std::vector<added_token> added() const;

  bool add_prefix_space = false;  ///< of the pre-tokenizer
  token_list before, after;       ///< what the post-processor puts around a text

 private:
  void read_pre_tokenizer(const json_value& part, const std::string& item);
  void read_post_processor(const json_value& part, const std::string& item);
  void check_decoder(const json_value& part, const std::string& item) const;
  // The list `key` of a `Sequence`; empty if the part is another or null. `type` is set to the part's type.
  [[nodiscard]] std::vector<json_value> sequence(const json_value& part, const std::string& item, const char* key,
                                                 std::string& type) const;
  void require_absent(const json_object& model, std::string_view key) const;

  json_file file_;
  json_object root_, model_;
};

namespace detail {

/// The switches and the content of an added token in a JSON file: a string, or an object with `content`. A switch that
/// is absent is as in Python's `AddedToken(content, special=special)`. Throws the file's type of error; `item` names
/// the token in messages.
[[nodiscard]] added_token read_added_token(const json_file& file, const json_value& value, const std::string& item,
                                           bool special);

/// A token id: an integer from 0. `item` names the place in messages.
[[nodiscard]] token_id listed_id(const json_file& file, const json_value& value, const std::string& item);

/// A token must not be empty, and short: it is compared with the text wherever it may begin.
void check_added_content(const json_file& file, std::string_view content, const std::string& item);

/// True or false; false if the key is absent or null.
[[nodiscard]] bool flag_of(const json_object& object, std::string_view key, bool otherwise = false);

}  // namespace detail

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/tokenizer_json.ipp>
#endif

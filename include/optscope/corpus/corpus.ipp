// SPDX-License-Identifier: MIT
#pragma once
// Bodies of corpus.hpp.

#include <algorithm>
#include <cassert>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <span>
#include <system_error>
#include <utility>

namespace optscope {
namespace detail {

/// `1-articles` is shown as `articles`.
inline std::string shown_name(const std::string& name) {
  const std::size_t dash = name.find_first_not_of("0123456789");
  return dash != 0 && dash < name.size() - 1 && name[dash] == '-' ? name.substr(dash + 1) : name;
}

/// What a folder has, hidden files left out, in name order.
struct folder_content {
  std::vector<std::filesystem::path> folders, texts;

  explicit folder_content(const std::filesystem::path& folder) {
    namespace fs = std::filesystem;
    std::error_code status;
    for (fs::directory_iterator entry{folder, status}, end; !status && entry != end; entry.increment(status)) {
      const fs::path& path = entry->path();
      if (path.filename().string().front() == '.') continue;
      std::error_code ignored;
      if (entry->is_directory(ignored)) {
        folders.push_back(path);
      } else if (path.extension() == ".txt") {
        texts.push_back(path);
      }
    }
    if (status) throw file_error{folder.string(), "", "a readable folder", status.message()};
    std::sort(folders.begin(), folders.end());
    std::sort(texts.begin(), texts.end());
  }
};

inline void find_texts(const std::filesystem::path& path, corpus& into) {
  namespace fs = std::filesystem;
  const auto add = [&](const std::string& category, const fs::path& file) {
    into.add(category, {.name = shown_name(file.stem().string()), .file = file, .item = ""});
  };
  std::error_code status;
  if (!fs::is_directory(path, status)) return add(shown_name(path.stem().string()), path);

  folder_content found{path};
  if (!found.folders.empty() && !found.texts.empty()) {
    throw bad_input{path.string(), "", "texts in sub-folders, or in the folder itself",
                    "both: " + found.texts[0].filename().string() + " next to " + found.folders[0].filename().string()};
  }
  if (found.folders.empty()) found.folders.push_back(path);
  for (const fs::path& folder : found.folders) {
    const std::vector<fs::path> files = folder_content{folder}.texts;
    if (files.empty()) throw bad_input{folder.string(), "", "at least one .txt file", "none"};
    const std::string category = shown_name(fs::canonical(folder).filename().string());
    for (const fs::path& file : files) add(category, file);
  }
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<std::size_t> corpus::texts_of_each() const {
  std::vector<std::size_t> counts(categories.size());
  for (const std::size_t category : category_of) ++counts[category];
  return counts;
}

OPTSCOPE_INLINE std::size_t corpus::index_in_category(std::size_t text) const {
  const auto first = std::lower_bound(category_of.begin(), category_of.end(), category_of[text]);
  return text - static_cast<std::size_t>(first - category_of.begin());
}

OPTSCOPE_INLINE std::span<const token_list> corpus::tokens_in(std::size_t category) const {
  assert(std::is_sorted(category_of.begin(), category_of.end()));
  const auto [first, last] = std::equal_range(category_of.begin(), category_of.end(), category);
  return std::span{tokens}.subspan(static_cast<std::size_t>(first - category_of.begin()),
                                   static_cast<std::size_t>(last - first));
}

OPTSCOPE_INLINE std::vector<token_batch> corpus::tokens_by_category() const {
  std::vector<token_batch> all;
  for (std::size_t c = 0; c < categories.size(); ++c) {
    const std::span<const token_list> some = tokens_in(c);
    all.emplace_back(some.begin(), some.end());
  }
  return all;
}

OPTSCOPE_INLINE std::optional<token_id> corpus::bos() const {
  return words && words->adds_bos() ? words->bos() : std::nullopt;
}

OPTSCOPE_INLINE void corpus::add(std::size_t category, token_list ids) {
  assert(category < categories.size());
  const auto place = std::upper_bound(category_of.begin(), category_of.end(), category) - category_of.begin();
  category_of.insert(category_of.begin() + place, category);
  tokens.insert(tokens.begin() + place, std::move(ids));
}

OPTSCOPE_INLINE void corpus::add(std::string_view category, corpus_text about, token_list ids) {
  assert(texts.size() == tokens.size());
  const auto known = std::find(categories.begin(), categories.end(), category);
  const auto number = static_cast<std::size_t>(known - categories.begin());
  if (known == categories.end()) categories.emplace_back(category);
  const auto place = std::upper_bound(category_of.begin(), category_of.end(), number) - category_of.begin();
  texts.insert(texts.begin() + place, std::move(about));
  add(number, std::move(ids));
}

OPTSCOPE_INLINE corpus corpus::emptied() const {
  corpus result;
  result.categories = categories;
  result.words = words;
  return result;
}

OPTSCOPE_INLINE std::string corpus::content(std::size_t text) const {
  const mapped_file file{texts[text].file};
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

OPTSCOPE_INLINE token_list corpus::read(std::size_t text) const {
  assert(words.has_value());
  const mapped_file file{texts[text].file};
  const auto bytes = file.bytes();
  return words->encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, texts[text].file.string());
}

OPTSCOPE_INLINE named_texts corpus::named(std::size_t text) const {
  const corpus_text& about = texts[text];
  return {{tokens[text].empty() && words ? read(text) : tokens[text]},
          {about.file.string() + (about.item.empty() ? "" : ": " + about.item)}};
}

OPTSCOPE_INLINE named_texts corpus::named() const {
  named_texts all;
  for (std::size_t text = 0; text < size(); ++text) {
    named_texts one = named(text);
    all.push_back(std::move(one[0]));
    all.names.push_back(std::move(one.names[0]));
  }
  return all;
}

OPTSCOPE_INLINE std::string corpus::token_text(std::size_t text, std::size_t position) const {
  const token_id id = tokens[text][position];
  return words ? words->piece(id) : std::to_string(id);
}

OPTSCOPE_INLINE std::string corpus::first_words(std::size_t text) const {
  if (!words) return "";
  const std::span all{tokens[text]};
  std::string shown = words->decode(all.first(std::min<std::size_t>(16, all.size())));
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return shown;
}

OPTSCOPE_INLINE void corpus::refuse(std::size_t text, const std::string& item, std::string expected,
                                    std::string found) const {
  const std::string& part = texts[text].item;
  throw bad_input{texts[text].file.string(), part + (part.empty() || item.empty() ? "" : ", ") + item,
                  std::move(expected), std::move(found)};
}

OPTSCOPE_INLINE void corpus::require_tokens(std::size_t text, std::size_t minimum) const {
  const std::size_t found = tokens[text].size();
  if (found >= minimum) return;
  refuse(text, "", "at least " + std::to_string(minimum) + " tokens",
         std::to_string(found) + ", " + std::to_string(minimum - found) + " too few");
}

OPTSCOPE_INLINE corpus find_corpus(const std::vector<std::filesystem::path>& paths) {
  corpus result;
  for (const std::filesystem::path& path : paths) detail::find_texts(path, result);
  return result;
}

OPTSCOPE_INLINE corpus read_corpus(const std::vector<std::filesystem::path>& paths, tokenizer words) {
  corpus result = find_corpus(paths);
  result.words = std::move(words);
  for (std::size_t t = 0; t < result.size(); ++t) result.tokens[t] = result.read(t);
  return result;
}

OPTSCOPE_INLINE corpus read_corpus_ids(const std::filesystem::path& file) {
  corpus result;
  std::size_t number = 0;
  for (token_list& ids : read_token_lists(file)) {
    const std::string name = std::to_string(number++);
    result.add(file.stem().string(), {.name = name, .file = file, .item = "list " + name}, std::move(ids));
  }
  return result;
}

}  // namespace optscope

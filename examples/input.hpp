// SPDX-License-Identifier: MIT
#pragma once
// The texts that the programs of this folder analyse: reading them from files and folders.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace program {

namespace fs = std::filesystem;

/// One text of `--texts`. With `--ids`: `name` is the list's number, `category` the file's name, `content` is empty.
struct text {
  std::string name, category;
  fs::path file;
  std::string content;
};

/// Everything a program analyses; `texts[i]` and `tokens[i]` belong together.
struct input {
  std::vector<text> texts;
  optscope::token_batch tokens;
  std::vector<std::string> categories;               // in order, each once
  std::vector<std::size_t> category_of;              // text -> index into `categories`
  std::shared_ptr<const optscope::tokenizer> words;  // null with `--ids` and a folder without tokenizer files

  /// What a token stands for; its id where there is no tokenizer.
  [[nodiscard]] std::string token_text(std::size_t text, std::size_t position) const {
    const optscope::token_id id = tokens[text][position];
    return words ? words->decode({&id, 1}, false) : std::to_string(id);
  }
  /// The beginning of a text on one line; empty where there is no tokenizer.
  [[nodiscard]] std::string first_words(std::size_t text) const {
    if (!words) return "";
    const std::span all{tokens[text]};
    std::string shown = words->decode(all.first(std::min<std::size_t>(16, all.size())));
    std::replace_if(
        shown.begin(), shown.end(), [](unsigned char c) { return c < ' '; }, ' ');
    return shown;
  }
};

/// `1-articles` is shown as `articles`.
inline std::string shown_name(const std::string& name) {
  const std::size_t dash = name.find_first_not_of("0123456789");
  return dash != 0 && dash < name.size() - 1 && name[dash] == '-' ? name.substr(dash + 1) : name;
}

/// The file as it is: nothing stripped, no line ending changed.
inline std::string content_of(const fs::path& file) {
  const optscope::mapped_file mapped{file};
  const auto bytes = mapped.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The texts of a file, or of a folder whose sub-folders are the categories; a folder of texts is one category. Their
/// content is not read.
inline std::vector<text> find_texts(const fs::path& path) {
  const auto text_in = [](const fs::path& file, std::string category) {
    return text{shown_name(file.stem().string()), std::move(category), file, ""};
  };
  const auto entries = [](const fs::path& folder, const auto& wanted) {
    std::vector<fs::path> found;
    std::error_code status;
    for (fs::directory_iterator entry{folder, status}, end; !status && entry != end; entry.increment(status)) {
      if (entry->path().filename().string().front() != '.' && wanted(*entry)) found.push_back(entry->path());
    }
    if (status) throw optscope::file_error{folder.string(), "", "a readable folder", status.message()};
    std::sort(found.begin(), found.end());
    return found;
  };
  const auto is_text = [](const fs::directory_entry& e) {
    std::error_code status;
    return e.path().extension() == ".txt" && !e.is_directory(status);
  };
  const auto is_folder = [](const fs::directory_entry& e) {
    std::error_code status;
    return e.is_directory(status);
  };
  std::error_code status;
  if (!fs::is_directory(path, status)) return {text_in(path, shown_name(path.stem().string()))};

  std::vector<fs::path> folders = entries(path, is_folder);
  const std::vector<fs::path> loose = entries(path, is_text);
  if (!folders.empty() && !loose.empty()) {
    throw optscope::bad_input{path.string(), "", "texts in sub-folders, or in the folder itself",
                              "both: " + loose[0].filename().string() + " beside " + folders[0].filename().string()};
  }
  if (folders.empty()) folders.push_back(path);
  std::vector<text> texts;
  for (const fs::path& folder : folders) {
    const std::vector<fs::path> files = entries(folder, is_text);
    if (files.empty()) throw optscope::bad_input{folder.string(), "", "at least one .txt file", "none"};
    const std::string category = shown_name(fs::canonical(folder).filename().string());
    for (const fs::path& file : files) texts.push_back(text_in(file, category));
  }
  return texts;
}

/// The same with their content.
inline std::vector<text> read_texts(const fs::path& path) {
  std::vector<text> texts = find_texts(path);
  for (text& t : texts) t.content = content_of(t.file);
  return texts;
}

/// Moves texts of a category that was met before behind its others; the order is kept otherwise.
inline void keep_categories_together(std::vector<text>& texts) {
  std::vector<std::string> met;
  const auto rank = [&](const text& t) { return std::find(met.begin(), met.end(), t.category) - met.begin(); };
  for (const text& t : texts) {
    if (rank(t) == static_cast<std::ptrdiff_t>(met.size())) met.push_back(t.category);
  }
  std::stable_sort(texts.begin(), texts.end(), [&](const text& a, const text& b) { return rank(a) < rank(b); });
}

/// Texts by category, found but not read.
struct corpus {
  std::vector<text> texts;
  std::vector<std::string> categories;
  std::vector<std::size_t> category_of, index_in;  // [text]: category, and the how manieth text of it
  std::vector<std::size_t> sizes;                  // [category]: texts

  explicit corpus(const std::vector<fs::path>& paths) {
    for (const fs::path& path : paths) {
      std::vector<text> more = find_texts(path);
      std::move(more.begin(), more.end(), std::back_inserter(texts));
    }
    keep_categories_together(texts);
    for (const text& t : texts) {
      if (categories.empty() || categories.back() != t.category) {
        categories.push_back(t.category);
        sizes.push_back(0);
      }
      category_of.push_back(categories.size() - 1);
      index_in.push_back(sizes.back()++);
    }
    if (categories.size() < 2) {
      throw optscope::bad_input{paths.front().string(), "--texts", "at least two categories to compare (sub-folders)",
                                "one: " + categories.front()};
    }
  }
};

}  // namespace program

// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <type_traits>
#include <utility>

namespace program {
namespace {

constexpr char mark = '\x01';  // before a value

template <class T>
struct inner {
  using type = T;
};
template <class T>
struct inner<std::vector<T>> : inner<T> {};
template <class T>
struct inner<std::optional<T>> : inner<T> {};
template <class T>
using inner_t = typename inner<T>::type;

template <class T>
constexpr bool is_list = false;
template <class T>
constexpr bool is_list<std::vector<T>> = true;

template <class T>
constexpr const char* type_name = "TEXT";
template <>
constexpr const char* type_name<std::size_t> = "UINT";
template <>
constexpr const char* type_name<double> = "FLOAT";

template <class T>
std::string read(const std::string& word, T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return read_number(word, value);
  } else {
    value = word;
    return "";
  }
}

std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::filesystem::path& value) { return value.string(); }
template <class Number>
  requires std::is_arithmetic_v<Number>
std::string text_of(Number value) {
  return CLI::detail::to_string(value);
}
template <class T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "";
}
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text;
  for (const T& each : values) text += (text.empty() ? "" : ",") + text_of(each);
  return text;
}

std::vector<std::string> parts_of(const std::string& word, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : word) {
    if (c == separator && separator != '\0') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

struct option::state {
  CLI::Option* handle = nullptr;
  char separator = '\0';
  std::vector<program::check> checks{};

  /// The words of an option as they were written.
  template <class T>
  void store(const std::vector<std::string>& words, T& variable) const {
    if constexpr (is_list<T>) variable.clear();
    for (const std::string& word : words) {
      for (const std::string& part : parts_of(word.substr(word.starts_with(mark) ? 1 : 0), separator)) {
        for (const program::check& wrong : checks) refuse(wrong(part));
        inner_t<T> value{};
        refuse(read(part, value));
        if constexpr (is_list<T>) {
          variable.push_back(std::move(value));
        } else {
          variable = std::move(value);
        }
      }
    }
  }

 private:
  void refuse(const std::string& wrong) const {
    if (!wrong.empty()) throw CLI::ValidationError{handle->get_name(), wrong};
  }
};

option::option(CLI::App& parser, const std::string& name, option_target target, const std::string& description)
    : state_{std::make_shared<state>()} {
  std::visit(
      [&]<class T>(T* variable) {
        if constexpr (std::is_same_v<T, bool>) {
          state_->handle = parser.add_flag(name, *variable, description);
        } else {
          const auto take = [variable, all = state_](const std::vector<std::string>& words) {
            all->store(words, *variable);
            return true;
          };
          state_->handle = parser.add_option(name, take, description, false, [variable] { return text_of(*variable); });
          if (is_list<T>) state_->handle->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
          type(type_name<inner_t<T>>);
        }
      },
      target);
}

option& option::type(const std::string& name) {
  state_->handle->type_name(name);
  return *this;
}
option& option::required() {
  state_->handle->required();
  return *this;
}
option& option::shown() {
  state_->handle->capture_default_str();
  return *this;
}
option& option::check(program::check wrong) {
  state_->checks.push_back(std::move(wrong));
  return *this;
}
option& option::one_of(const std::vector<std::string>& names) {
  const auto list = [&](const char* between) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : between) + name;
    return text;
  };
  return type("{" + list(",") + "}")
      .check([names, expected = "expected one of " + list(", ")](const std::string& value) {
        const bool known = std::find(names.begin(), names.end(), value) != names.end();
        return known ? "" : expected + ", found " + (value.empty() ? "''" : value);
      });
}
option& option::separated_by(char separator) {
  state_->separator = separator;
  return *this;
}
option& option::one_value_each() {
  state_->handle->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(1);
  return *this;
}
bool option::given() const { return state_->handle->count() != 0; }
std::string option::name() const { return state_->handle->get_name(); }

void parse(CLI::App& parser, int argc, const char* const* argv) {
  std::vector<std::string> words;  // the last one first, as CLI11 takes them
  for (int i = argc - 1; i > 0; --i) {
    std::string word = argv[i];
    const std::size_t equals = word.find('=');
    if (!word.starts_with('-')) {
      word.insert(word.begin(), mark);
    } else if (word.starts_with("--") && equals != std::string::npos) {
      const CLI::Option* named = parser.get_option_no_throw(word.substr(0, equals));
      if (named != nullptr && named->get_expected_max() != 0) word.insert(equals + 1, 1, mark);
    }
    words.push_back(std::move(word));
  }
  parser.parse(std::move(words));
}

std::string unmarked(std::string text) {
  std::erase(text, mark);
  return text;
}

}  // namespace program

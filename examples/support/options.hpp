// SPDX-License-Identifier: MIT
#pragma once
// Options of a program, without the headers of the parser that reads them. Values are taken as they are written:
// brackets, braces and quotes in a text are its own, numbers are decimal.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "checks.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace program {

/// Where the value of an option goes; it is not touched if the option is not given. A `bool` is set by an option
/// without a value. A number that its type cannot hold is refused.
using option_target = std::variant<bool*, std::string*, std::filesystem::path*, std::size_t*, double*,
                                   std::optional<std::size_t>*, std::optional<double>*, std::vector<std::string>*,
                                   std::vector<std::size_t>*, std::vector<std::filesystem::path>*>;

/// One option. The functions refine it and give it back: `app.option(…).type("N").check(not_positive).shown()`.
class option {
 public:
  option(CLI::App& parser, const std::string& name, option_target target, const std::string& description);

  option& type(const std::string& name);  ///< what `--help` shows for the value
  option& required();
  option& shown();  ///< `--help` shows the variable's present value as the default
  option& check(program::check wrong);
  option& one_of(const std::vector<std::string>& names);
  option& separated_by(char separator);  ///< several values in one word
  option& one_value_each();              ///< of a list: one value each time that the option is given

  [[nodiscard]] bool given() const;
  [[nodiscard]] std::string name() const;

 private:
  struct state;  // the parser refers to it
  std::shared_ptr<state> state_;
};

/// Options that do not go together: exit code 2. `what()` names the option.
struct wrong_usage : std::runtime_error {
  wrong_usage(const std::string& option, const std::string& what) : std::runtime_error{option + ": " + what} {}
};

/// Reads a command line. CLI11 looks into values (it takes `[a, b]` for a list and `{}` for nothing), so each
/// value is passed through it with a mark in front.
void parse(CLI::App& parser, int argc, const char* const* argv);

/// A word, or a message, of CLI11 without the marks.
[[nodiscard]] std::string unmarked(std::string text);

}  // namespace program

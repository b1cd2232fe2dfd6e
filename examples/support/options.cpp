// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <utility>

namespace program {

option& option::type(const std::string& name) {
  handle_->type_name(name);
  return *this;
}
option& option::required() {
  handle_->required();
  return *this;
}
option& option::shown() {
  handle_->capture_default_str();
  return *this;
}
option& option::check(program::check wrong) {
  handle_->check(std::move(wrong));
  return *this;
}
option& option::one_of(std::vector<std::string> names) {
  handle_->check(CLI::IsMember(std::move(names)));
  return *this;
}
option& option::separated_by(char separator) {
  handle_->delimiter(separator);
  return *this;
}
option& option::one_value_each() {
  handle_->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(1);
  return *this;
}
bool option::given() const { return handle_->count() != 0; }
std::string option::name() const { return handle_->get_name(); }

option add_option(CLI::App& parser, const std::string& name, option_target target, const std::string& description) {
  return option{std::visit(
      [&](auto* variable) {
        if constexpr (std::is_same_v<decltype(variable), bool*>) {
          return parser.add_flag(name, *variable, description);
        } else {
          return parser.add_option(name, *variable, description);
        }
      },
      target)};
}

}  // namespace program

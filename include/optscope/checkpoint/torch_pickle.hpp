// SPDX-License-Identifier: MIT
#pragma once
// Interprets data.pkl of torch.save: the opcodes and globals that a dict of tensors needs, and nothing else.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optscope/checkpoint/torch_values.hpp>
#include <optscope/checkpoint/torch_zip.hpp>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// Runs one pickle of protocol 2. Memory grows with the pickle's length, which is limited; time is near linear.
/// Throws `checkpoint_error` naming the byte, the opcode or the global on anything unexpected.
class torch_pickle {
 public:
  torch_pickle(std::string file, const torch_zip& zip, std::span<const std::byte> bytes);

  [[nodiscard]] const pickle_value& top() const { return values_[result_]; }
  [[nodiscard]] const pickle_value& value(std::uint32_t place) const { return values_[place]; }
  [[nodiscard]] const pickled_tensor& tensor(const pickle_value& value) const {
    return tensors_[static_cast<std::size_t>(value.integer)];
  }
  [[nodiscard]] const pickled_storage& storage(const pickled_tensor& tensor) const { return storages_[tensor.storage]; }
  /// What a value is, for messages.
  [[nodiscard]] std::string description(const pickle_value& value) const;

 private:
  using index = std::uint32_t;
  static constexpr index none_index = 0, false_index = 1, true_index = 2, empty_tuple_index = 3;

  [[noreturn]] void refuse(std::string expected, std::string found) const;

  // Input.
  template <class Number>
  Number take();
  std::string_view take_text(std::size_t length);
  std::string_view take_line();

  // Stack. Nothing reaches below the last mark.
  [[nodiscard]] std::size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  void push(index value) { stack_.push_back(value); }
  index push(pickle_value value);
  index pop();
  [[nodiscard]] pickle_value& peek(pickle_value::kind_type kind, const char* expected);
  std::vector<index> pop_to_mark();
  void push_tuple(std::size_t size);

  void run();
  void step(unsigned char opcode);
  void long_integer();
  void put(std::uint32_t slot);
  void get(std::uint32_t slot);
  void global();

  // Tensors.
  void persistent();
  void reduce();
  void rebuild_tensor(const std::vector<index>& arguments);
  [[nodiscard]] std::size_t natural(const pickle_value& value) const;
  [[nodiscard]] std::vector<std::size_t> natural_list(index value) const;
  void build();

  std::string file_;
  const torch_zip& zip_;
  std::span<const std::byte> bytes_;
  std::size_t place_ = 0, opcode_at_ = 0;
  std::vector<pickle_value> values_;
  std::vector<index> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint32_t, index> memo_;
  std::vector<pickled_storage> storages_;
  std::map<std::string_view, index> storage_index_;
  std::vector<pickled_tensor> tensors_;
  index result_ = 0;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/torch_pickle.ipp>
#endif

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of torch_pickle.hpp.

#include <algorithm>
#include <optional>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/torch_pickle.hpp>
#include <optscope/core/errors.hpp>
#include <utility>

namespace optscope::detail {

inline const torch_global& callable(const pickle_value& value) {
  return torch_globals[static_cast<std::size_t>(value.integer)];
}

// For messages: opcodes that import, call or belong to other protocols by name, the rest as a number.
inline std::string opcode_name(unsigned char opcode) {
  switch (opcode) {
    case 'i': return "INST";
    case 'o': return "OBJ";
    case 'P': return "PERSID";
    case 0x82: return "EXT1";
    case 0x83: return "EXT2";
    case 0x84: return "EXT4";
    case 0x92: return "NEWOBJ_EX";
    case 0x93: return "STACK_GLOBAL";
    case 0x94: return "MEMOIZE";
    case 0x95: return "FRAME";
    case 0x8b: return "LONG4";
    default: return "opcode " + std::to_string(opcode);
  }
}

OPTSCOPE_INLINE torch_pickle::torch_pickle(std::string file, const torch_zip& zip, std::span<const std::byte> bytes)
    : file_{std::move(file)}, zip_{zip}, bytes_{bytes} {
  constexpr std::size_t longest = std::size_t{1} << 24;  // OPT-66B has 0.2 MB
  if (bytes.size() > longest) refuse("a pickle of at most 16 MiB", std::to_string(bytes.size()) + " bytes");
  values_ = {{pickle_value::none}, {pickle_value::boolean, 0}, {pickle_value::boolean, 1}, {pickle_value::tuple}};
  run();
}

OPTSCOPE_INLINE std::string torch_pickle::description(const pickle_value& value) const {
  const auto counted = [](const char* what, std::size_t items) {
    return what + std::string{" of "} + std::to_string(items) + (items == 1 ? " item" : " items");
  };
  switch (value.kind) {
    case pickle_value::none: return "None";
    case pickle_value::boolean: return value.integer != 0 ? "True" : "False";
    case pickle_value::number: return "the number " + std::to_string(value.integer);
    case pickle_value::real: return "a floating-point number";
    case pickle_value::text: return "the string " + quoted(value.string);
    case pickle_value::list: return counted("a list", value.items.size());
    case pickle_value::dict: return counted("a dict", value.items.size() / 2);
    case pickle_value::set: return "a set";
    case pickle_value::storage: return "a storage";
    case pickle_value::tensor: return "a tensor";
    case pickle_value::global: return std::string{callable(value).module} + "." + std::string{callable(value).name};
    case pickle_value::tuple: break;
  }
  // The kinds in it, one level deep.
  constexpr std::size_t shown = 8;
  std::string text = "(";
  for (std::size_t i = 0; i < std::min(shown, value.items.size()); ++i) {
    const pickle_value& item = values_[value.items[i]];
    text += (i == 0 ? "" : ", ") +
            (item.kind == pickle_value::tuple ? counted("a tuple", item.items.size()) : description(item));
  }
  return text + (value.items.size() > shown ? ", ...)" : ")");
}

OPTSCOPE_INLINE void torch_pickle::refuse(std::string expected, std::string found) const {
  throw checkpoint_error{file_, "data.pkl, byte " + std::to_string(opcode_at_), std::move(expected), std::move(found)};
}

template <class Number>
Number torch_pickle::take() {
  if (bytes_.size() - place_ < sizeof(Number)) refuse("a whole opcode", "the end of the pickle");
  const auto number = number_at<Number>(bytes_, place_);
  place_ += sizeof(Number);
  return number;
}

OPTSCOPE_INLINE std::string_view torch_pickle::take_text(std::size_t length) {
  if (length > bytes_.size() - place_) {
    refuse("at most " + std::to_string(bytes_.size() - place_) + " bytes", std::to_string(length));
  }
  const auto text = as_text(bytes_.subspan(place_, length));
  place_ += length;
  return text;
}

OPTSCOPE_INLINE std::string_view torch_pickle::take_line() {
  const auto rest = as_text(bytes_.subspan(place_));
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) refuse("a line", "the end of the pickle");
  place_ += end + 1;
  return rest.substr(0, end);
}

OPTSCOPE_INLINE torch_pickle::index torch_pickle::push(pickle_value value) {
  constexpr std::size_t most = std::size_t{1} << 20;  // OPT-66B has some ten thousand
  if (values_.size() == most) refuse("at most 1048576 values", "one more");
  values_.push_back(std::move(value));
  push(static_cast<index>(values_.size() - 1));
  return stack_.back();
}

OPTSCOPE_INLINE torch_pickle::index torch_pickle::pop() {
  if (available() == 0) refuse("a value on the stack", "none");
  const index value = stack_.back();
  stack_.pop_back();
  return value;
}

OPTSCOPE_INLINE pickle_value& torch_pickle::peek(pickle_value::kind_type kind, const char* expected) {
  if (available() == 0) refuse(expected, "an empty stack");
  if (values_[stack_.back()].kind != kind) refuse(expected, description(values_[stack_.back()]));
  return values_[stack_.back()];
}

OPTSCOPE_INLINE std::vector<torch_pickle::index> torch_pickle::pop_to_mark() {
  if (marks_.empty()) refuse("a mark on the stack", "none");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<index> values(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return values;
}

OPTSCOPE_INLINE void torch_pickle::push_tuple(std::size_t size) {
  pickle_value tuple{pickle_value::tuple, 0, {}, std::vector<index>(size)};
  for (std::size_t i = size; i-- > 0;) tuple.items[i] = pop();
  push(std::move(tuple));
}

OPTSCOPE_INLINE void torch_pickle::run() {
  if (bytes_.size() < 2 || as_text(bytes_.subspan(0, 2)) != "\x80\x02") {
    refuse("a pickle of protocol 2, as torch writes it",
           quoted(as_text(bytes_.subspan(0, std::min<std::size_t>(2, bytes_.size())))));
  }
  place_ = 2;
  for (;;) {
    opcode_at_ = place_;
    const auto opcode = take<unsigned char>();
    if (opcode == '.') break;
    step(opcode);
  }
  if (stack_.size() != 1 || !marks_.empty()) refuse("one value at the end", std::to_string(stack_.size()));
  if (place_ != bytes_.size()) refuse("the end of data.pkl", std::to_string(bytes_.size() - place_) + " bytes more");
  result_ = stack_.back();
}

OPTSCOPE_INLINE void torch_pickle::step(unsigned char opcode) {
  switch (opcode) {
    case 'N': return push(none_index);
    case 0x89: return push(false_index);
    case 0x88: return push(true_index);
    case ')': return push(empty_tuple_index);
    case '}': return void(push(pickle_value{pickle_value::dict}));
    case ']': return void(push(pickle_value{pickle_value::list}));
    case 0x8f: return void(push(pickle_value{pickle_value::set}));
    case '(': return marks_.push_back(stack_.size());
    case 't': {
      auto items = pop_to_mark();
      return void(push(pickle_value{pickle_value::tuple, 0, {}, std::move(items)}));
    }
    case 0x85: return push_tuple(1);
    case 0x86: return push_tuple(2);
    case 0x87: return push_tuple(3);
    case 'J': return void(push(pickle_value{pickle_value::number, take<std::int32_t>()}));
    case 'K': return void(push(pickle_value{pickle_value::number, take<std::uint8_t>()}));
    case 'M': return void(push(pickle_value{pickle_value::number, take<std::uint16_t>()}));
    case 0x8a: return long_integer();
    case 'G': return take<std::uint64_t>(), void(push(pickle_value{pickle_value::real}));
    case 'X': return void(push(pickle_value{pickle_value::text, 0, take_text(take<std::uint32_t>())}));
    case 'U': return void(push(pickle_value{pickle_value::text, 0, take_text(take<std::uint8_t>())}));
    case 'q': return put(take<std::uint8_t>());
    case 'r': return put(take<std::uint32_t>());
    case 'h': return get(take<std::uint8_t>());
    case 'j': return get(take<std::uint32_t>());
    case 'c': return global();
    case 'Q': return persistent();
    case 'R': return reduce();
    case 0x81: return reduce();  // NEWOBJ: class and arguments, as for a call
    case 'b': return build();
    case 's': {
      const index item = pop(), key = pop();
      auto& items = peek(pickle_value::dict, "a dict to set an item of").items;
      items.insert(items.end(), {key, item});
      return;
    }
    case 'u': {
      const auto added = pop_to_mark();
      if (added.size() % 2 != 0) refuse("pairs of key and value", "a key without a value");
      auto& items = peek(pickle_value::dict, "a dict to set items of").items;
      items.insert(items.end(), added.begin(), added.end());
      return;
    }
    case 'a': {
      const index item = pop();
      return peek(pickle_value::list, "a list to append to").items.push_back(item);
    }
    case 'e': {
      const auto added = pop_to_mark();
      auto& items = peek(pickle_value::list, "a list to append to").items;
      items.insert(items.end(), added.begin(), added.end());
      return;
    }
    default: return refuse("an opcode that a dict of tensors needs", opcode_name(opcode));
  }
}

OPTSCOPE_INLINE void torch_pickle::long_integer() {
  const auto bytes = take_text(take<std::uint8_t>());
  if (bytes.size() > 8) refuse("an integer of at most 8 bytes", std::to_string(bytes.size()));
  // The sign is in the last byte.
  std::uint64_t number = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  push(pickle_value{pickle_value::number, static_cast<std::int64_t>(number)});
}

OPTSCOPE_INLINE void torch_pickle::put(std::uint32_t slot) {
  if (available() == 0) refuse("a value to remember", "an empty stack");
  memo_[slot] = stack_.back();
}

OPTSCOPE_INLINE void torch_pickle::get(std::uint32_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) refuse("a value remembered before", "none in slot " + std::to_string(slot));
  push(found->second);
}

OPTSCOPE_INLINE void torch_pickle::global() {
  const auto module = take_line(), name = take_line();
  for (std::size_t i = 0; i < torch_globals.size(); ++i) {
    if (torch_globals[i].module == module && torch_globals[i].name == name) {
      push(pickle_value{pickle_value::global, static_cast<std::int64_t>(i)});
      return;
    }
  }
  refuse("only the globals of a dict of tensors (tensors of floats, OrderedDict)",
         printable(module) + "." + printable(name) + ", which is not looked up or run");
}

// `('storage', class, key, location, count)` becomes the record `data/<key>`.
OPTSCOPE_INLINE void torch_pickle::persistent() {
  const pickle_value& id = values_[pop()];
  const std::string expected = "a storage: ('storage', class, key, location, count)";
  if (id.kind != pickle_value::tuple || id.items.size() != 5) refuse(expected, description(id));
  const auto part = [&](std::size_t i) -> const pickle_value& { return values_[id.items[i]]; };
  const bool storage = part(0).kind == pickle_value::text && part(0).string == "storage" &&
                       part(1).kind == pickle_value::global && part(2).kind == pickle_value::text &&
                       part(3).kind == pickle_value::text && part(4).kind == pickle_value::number;
  if (!storage || callable(part(1)).what != torch_callable::storage) refuse(expected, description(id));
  const auto& type = callable(part(1)).storage;
  const std::string_view key = part(2).string;
  const std::int64_t count = part(4).integer;
  const auto known = storage_index_.find(key);
  if (known != storage_index_.end()) {
    const pickled_storage& first = storages_[known->second];
    if (first.type->name != type.name || count < 0 || first.count != static_cast<std::size_t>(count)) {
      refuse("storage " + quoted(key) + " as before, " + std::to_string(first.count) + " elements of " +
                 std::string{first.type->name},
             std::to_string(count) + " elements of " + std::string{type.name});
    }
    push(pickle_value{pickle_value::storage, known->second});
    return;
  }
  const auto* record = zip_.find("data/" + std::string{key});
  if (record == nullptr) refuse("the record data/" + printable(key), "no such record in the archive");
  if (count < 0 || checked_product(static_cast<std::size_t>(count), type.bytes) != record->size()) {
    refuse("record data/" + printable(key) + " of " + std::to_string(count) + " elements of " + std::string{type.name},
           std::to_string(record->size()) + " bytes");
  }
  const auto place = static_cast<index>(storages_.size());
  storages_.push_back({key, &type, static_cast<std::size_t>(count), *record});
  storage_index_.emplace(key, place);
  push(pickle_value{pickle_value::storage, place});
}

OPTSCOPE_INLINE void torch_pickle::reduce() {
  const index argument_index = pop(), function_index = pop();
  const pickle_value& arguments = values_[argument_index];
  const pickle_value& function = values_[function_index];
  if (function.kind != pickle_value::global || arguments.kind != pickle_value::tuple) {
    refuse("a known function and its arguments", description(function) + " and " + description(arguments));
  }
  const auto& items = arguments.items;
  const auto kind = [&](std::size_t i) { return values_[items[i]].kind; };
  const auto hooks = [&](std::size_t i) { return kind(i) == pickle_value::dict || kind(i) == pickle_value::none; };
  switch (callable(function).what) {
    case torch_callable::ordered_dict:
      if (!items.empty()) break;
      push(pickle_value{pickle_value::dict});
      return;
    case torch_callable::rebuild_tensor_v2:
      if (items.size() < 6 || items.size() > 7 || kind(4) != pickle_value::boolean || !hooks(5)) break;
      if (items.size() == 7 && !hooks(6)) break;
      return rebuild_tensor(items);
    case torch_callable::rebuild_tensor:
      if (items.size() != 4) break;
      return rebuild_tensor(items);
    case torch_callable::rebuild_parameter:
      if (items.size() != 3 || kind(0) != pickle_value::tensor || kind(1) != pickle_value::boolean || !hooks(2)) break;
      return push(items[0]);
    case torch_callable::parameter:
      if (items.empty() || items.size() > 2 || kind(0) != pickle_value::tensor) break;
      if (items.size() == 2 && kind(1) != pickle_value::boolean) break;
      return push(items[0]);
    case torch_callable::storage: break;
  }
  refuse("the arguments that torch gives to " + std::string{callable(function).name}, description(arguments));
}

// Storage, offset, sizes, strides; every element has to lie inside the storage.
OPTSCOPE_INLINE void torch_pickle::rebuild_tensor(const std::vector<index>& arguments) {
  const pickle_value& storage_value = values_[arguments[0]];
  const pickle_value& offset = values_[arguments[1]];
  if (storage_value.kind != pickle_value::storage) refuse("a storage for a tensor", description(storage_value));
  pickled_tensor tensor{static_cast<index>(storage_value.integer), natural(offset), natural_list(arguments[2]),
                        natural_list(arguments[3])};
  if (tensor.shape.size() != tensor.strides.size()) {
    refuse("a stride for each of " + std::to_string(tensor.shape.size()) + " sizes", shape_text(tensor.strides));
  }
  const std::size_t count = storages_[tensor.storage].count;
  const auto size = checked_size(tensor.shape);
  std::optional<std::size_t> last = tensor.offset;  // the highest element that is touched
  for (std::size_t axis = 0; axis < tensor.shape.size() && size != 0; ++axis) {
    const auto step = checked_product(tensor.shape[axis] - 1, tensor.strides[axis]);
    last = step && last ? checked_sum(*last, *step) : std::nullopt;
  }
  const bool inside = size == 0 ? tensor.offset <= count : last && *last < count;
  // A view that repeats elements may be small; a large one would make its reader allocate what the file has not.
  constexpr std::size_t largest_repeated = std::size_t{1} << 20;
  if (!size || !inside || *size > std::max(count, largest_repeated)) {
    refuse("a tensor inside its storage of " + std::to_string(count) + " elements",
           "sizes " + shape_text(tensor.shape) + ", strides " + shape_text(tensor.strides) + ", offset " +
               std::to_string(tensor.offset));
  }
  tensors_.push_back(std::move(tensor));
  push(pickle_value{pickle_value::tensor, static_cast<std::int64_t>(tensors_.size() - 1)});
}

OPTSCOPE_INLINE std::size_t torch_pickle::natural(const pickle_value& value) const {
  if (value.kind != pickle_value::number || value.integer < 0) {
    refuse("a whole number, not negative", description(value));
  }
  return static_cast<std::size_t>(value.integer);
}

OPTSCOPE_INLINE std::vector<std::size_t> torch_pickle::natural_list(index value) const {
  constexpr std::size_t most_axes = 8;  // torch allows 64; OPT has 2
  const pickle_value& tuple = values_[value];
  if (tuple.kind != pickle_value::tuple || tuple.items.size() > most_axes) {
    refuse("a tuple of at most 8 numbers", description(tuple));
  }
  std::vector<std::size_t> numbers;
  for (const index item : tuple.items) numbers.push_back(natural(values_[item]));
  return numbers;
}

// Attributes of an OrderedDict (`_metadata`) are dropped; nothing else has any.
OPTSCOPE_INLINE void torch_pickle::build() {
  const index state = pop();
  static_cast<void>(peek(pickle_value::dict, "an OrderedDict to set attributes of"));
  if (values_[state].kind != pickle_value::dict) refuse("attributes as a dict", description(values_[state]));
}

}  // namespace optscope::detail

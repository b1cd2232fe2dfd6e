// SPDX-License-Identifier: MIT
#pragma once
// What a pickle of torch.save can hold: the globals that are known, and values.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/dtype.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// A class of torch storages.
struct torch_storage_class {
  std::string_view name;
  std::size_t bytes;          // of an element
  std::optional<dtype> type;  // nothing: may be in a file, but is not computed with
};

enum class torch_callable { ordered_dict, rebuild_tensor_v2, rebuild_tensor, rebuild_parameter, parameter, storage };

/// The names that a pickle may refer to. Nothing is imported or called: each stands for code in this header.
struct torch_global {
  std::string_view module, name;
  torch_callable what;
  torch_storage_class storage{};
};
inline constexpr std::array<torch_global, 15> torch_globals{{
    {"collections", "OrderedDict", torch_callable::ordered_dict},
    {"torch._utils", "_rebuild_tensor_v2", torch_callable::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_tensor", torch_callable::rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", torch_callable::rebuild_parameter},
    {"torch.nn.parameter", "Parameter", torch_callable::parameter},
    {"torch", "HalfStorage", torch_callable::storage, {"HalfStorage", 2, dtype::f16}},
    {"torch", "BFloat16Storage", torch_callable::storage, {"BFloat16Storage", 2, dtype::bf16}},
    {"torch", "FloatStorage", torch_callable::storage, {"FloatStorage", 4, dtype::f32}},
    {"torch", "DoubleStorage", torch_callable::storage, {"DoubleStorage", 8, dtype::f64}},
    {"torch", "LongStorage", torch_callable::storage, {"LongStorage", 8, {}}},
    {"torch", "IntStorage", torch_callable::storage, {"IntStorage", 4, {}}},
    {"torch", "ShortStorage", torch_callable::storage, {"ShortStorage", 2, {}}},
    {"torch", "CharStorage", torch_callable::storage, {"CharStorage", 1, {}}},
    {"torch", "ByteStorage", torch_callable::storage, {"ByteStorage", 1, {}}},
    {"torch", "BoolStorage", torch_callable::storage, {"BoolStorage", 1, {}}},
}};

/// Values live in one list and refer to one another by index, so depth costs no stack and cycles cost no leak.
struct pickle_value {
  enum kind_type { none, boolean, number, real, text, tuple, list, dict, set, global, storage, tensor };
  kind_type kind = none;
  std::int64_t integer = 0;  // number, boolean; index of the global, storage or tensor
  std::string_view string{};
  std::vector<std::uint32_t> items{};  // of a dict: key, value, key, value
};

struct pickled_storage {
  std::string_view key;
  const torch_storage_class* type;
  std::size_t count;
  std::span<const std::byte> bytes;
};

struct pickled_tensor {
  std::uint32_t storage;
  std::size_t offset;
  std::vector<std::size_t> shape, strides;
};

}  // namespace optscope::detail

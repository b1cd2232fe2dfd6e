// SPDX-License-Identifier: MIT
#pragma once
// Says what a file looks like that is not what its name says, for messages.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>

namespace optscope::detail {

/// A phrase for a message, such as "a git-lfs pointer: the file itself has not been downloaded".
[[nodiscard]] std::string file_kind(std::span<const std::byte> bytes);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/file_kind.ipp>
#endif

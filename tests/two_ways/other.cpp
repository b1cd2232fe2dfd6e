// SPDX-License-Identifier: MIT
#include <optscope/core/errors.hpp>

int other() { return optscope::bad_input{"file", "item", "this", "that"}.file().empty() ? 1 : 0; }

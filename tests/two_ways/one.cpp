// SPDX-License-Identifier: MIT
#include <optscope/core/errors.hpp>

int other();

int main() { return other() + static_cast<int>(optscope::error{"one"}.what()[0] == 0); }

// SPDX-License-Identifier: MIT
#pragma once
// For programs that still use the parser itself.
#include <CLI/CLI.hpp>
#include <iostream>
#include <optscope/core/selection.hpp>

#include "support/program.hpp"

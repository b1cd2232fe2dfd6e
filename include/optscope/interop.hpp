// SPDX-License-Identifier: MIT
#pragma once
// All headers of interop/: xtensor containers and .npy files.

#include <optscope/interop/npy.hpp>
#include <optscope/interop/xtensor.hpp>

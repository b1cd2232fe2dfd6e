// SPDX-License-Identifier: MIT
#pragma once
// Backends: the concept, the library's own kernels (`cpu`), and the user's BLAS (`cblas`).

#include <optscope/backend/backend.hpp>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/backend/product.hpp>
#include <optscope/backend/slope.hpp>

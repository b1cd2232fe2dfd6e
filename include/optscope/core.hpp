// SPDX-License-Identifier: MIT
#pragma once
// All headers of core/: what every other folder is built on: tensors, sites, files, errors, JSON, threads.

#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/saved_state.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/core/utf8.hpp>

// SPDX-License-Identifier: MIT
#pragma once
// All headers of checkpoint/: config.json and weights.

#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/config.hpp>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/file_kind.hpp>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/checkpoint/generation_config.hpp>
#include <optscope/checkpoint/not_finite.hpp>
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/checkpoint/shards.hpp>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/checkpoint/torch_pickle.hpp>
#include <optscope/checkpoint/torch_values.hpp>
#include <optscope/checkpoint/torch_zip.hpp>

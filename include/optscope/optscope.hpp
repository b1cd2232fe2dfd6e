// SPDX-License-Identifier: MIT
#pragma once
// Everything a program of one's own needs, in the order in which the data flows.

#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/replace.hpp>
#include <optscope/probe/running_moments.hpp>
#include <optscope/probe/running_quantiles.hpp>
#include <optscope/probe/running_top.hpp>
#include <optscope/probe/sink.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

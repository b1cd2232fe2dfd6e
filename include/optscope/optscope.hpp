// SPDX-License-Identifier: MIT
#pragma once
// What a first program needs: a checkpoint, a tokenizer, a model, activations of it, and how similar they are. For the
// rest of a folder there is an umbrella header of its name, such as <optscope/probe.hpp> or <optscope/plot.hpp>.

#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

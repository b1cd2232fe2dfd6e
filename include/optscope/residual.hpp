// SPDX-License-Identifier: MIT
#pragma once
// Everything in residual/: the stream as a sum of components, what each adds to a logit, and what the stream would say.

#include <optscope/residual/attribute_logits.hpp>
#include <optscope/residual/components.hpp>
#include <optscope/residual/decompose.hpp>
#include <optscope/residual/likeliest.hpp>
#include <optscope/residual/stream_rows.hpp>

// SPDX-License-Identifier: MIT
#pragma once
// Everything in residual/: the stream as a sum of components, what each adds to a logit, what the stream would say, and
// what its parts restore of an answer.

#include <optscope/residual/attribute_logits.hpp>
#include <optscope/residual/components.hpp>
#include <optscope/residual/decompose.hpp>
#include <optscope/residual/likeliest.hpp>
#include <optscope/residual/logit_pairs.hpp>
#include <optscope/residual/patch_agreement.hpp>
#include <optscope/residual/patching.hpp>
#include <optscope/residual/stream_rows.hpp>

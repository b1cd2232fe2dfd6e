// SPDX-License-Identifier: MIT
#pragma once
// Everything in opt/: models, their weights and decoder blocks, generation, and what can be removed from a model.

#include <optscope/opt/block.hpp>
#include <optscope/opt/checked_plan.hpp>
#include <optscope/opt/decoder_block.hpp>
#include <optscope/opt/ends.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/frozen_block.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/hidden_states.hpp>
#include <optscope/opt/identities.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/logit_rules.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/probabilities.hpp>
#include <optscope/opt/probe_set.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/run_state.hpp>
#include <optscope/opt/sampling.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/variants.hpp>
#include <optscope/opt/weights.hpp>

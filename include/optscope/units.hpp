// SPDX-License-Identifier: MIT
#pragma once
// Everything in units/: activity of layers, heads and neurons by category, effects, attribution, ablation.

#include <optscope/units/ablation.hpp>
#include <optscope/units/activity.hpp>
#include <optscope/units/attention_behaviour.hpp>
#include <optscope/units/attribute.hpp>
#include <optscope/units/attribution.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/corpus_sums.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <optscope/units/gradient_sites.hpp>
#include <optscope/units/gradient_steps.hpp>
#include <optscope/units/head_means.hpp>
#include <optscope/units/head_norms.hpp>
#include <optscope/units/row_losses.hpp>
#include <optscope/units/saved_sums.hpp>
#include <optscope/units/selectivity.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/token_controls.hpp>
#include <optscope/units/top_neurons.hpp>
#include <optscope/units/unit_findings.hpp>
#include <optscope/units/unit_gates.hpp>
#include <optscope/units/unit_sums.hpp>
#include <optscope/units/units.hpp>

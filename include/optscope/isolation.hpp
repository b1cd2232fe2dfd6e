// SPDX-License-Identifier: MIT
#pragma once
// Everything in isolation/: scores, removals, masks, directions of the stream, curves, controls and the judge.

#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/code_structure.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/controls.hpp>
#include <optscope/isolation/direction_candidates.hpp>
#include <optscope/isolation/isolation_result.hpp>
#include <optscope/isolation/isolation_settings.hpp>
#include <optscope/isolation/isolation_study.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/learned_mask.hpp>
#include <optscope/isolation/mask_steps.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <optscope/isolation/removal_bench.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/isolation/removal_controls.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/removal_order.hpp>
#include <optscope/isolation/removal_scores.hpp>
#include <optscope/isolation/stream_directions.hpp>
#include <optscope/isolation/stream_moments.hpp>
#include <optscope/isolation/unit_candidates.hpp>
#include <optscope/isolation/wilson.hpp>
#include <optscope/isolation/written_texts.hpp>

// SPDX-License-Identifier: MIT
#pragma once
// Singular spectra: linear operators, analysers, Jacobians of blocks, ranks, the tight pass.

#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/analyser_list.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/block_analysis.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <optscope/spectrum/density.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/kink.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/layer_jacobian.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <optscope/spectrum/norm_jacobian.hpp>
#include <optscope/spectrum/overlaps.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <optscope/spectrum/rank.hpp>
#include <optscope/spectrum/spectra_plan.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <optscope/spectrum/spectrum_tables.hpp>
#include <optscope/spectrum/symmetric_pair.hpp>
#include <optscope/spectrum/tight_pass.hpp>
#include <optscope/spectrum/width.hpp>

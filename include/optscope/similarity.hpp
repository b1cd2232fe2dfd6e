// SPDX-License-Identifier: MIT
#pragma once
// Everything in similarity/: metrics of vectors and of sets, similarity matrices, their blocks, layer by layer.

#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/by_layer.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/cosines.hpp>
#include <optscope/similarity/distances.hpp>
#include <optscope/similarity/factors.hpp>
#include <optscope/similarity/low_rank.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <optscope/similarity/points.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/similarity/subspaces.hpp>
#include <optscope/similarity/vectors.hpp>
#include <optscope/similarity/without.hpp>

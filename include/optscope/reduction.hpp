// SPDX-License-Identifier: MIT
#pragma once
// Everything in reduction/: principal components, PHATE with its parts, and how far to trust a map.

#include <optscope/reduction/diffusion.hpp>
#include <optscope/reduction/discriminants.hpp>
#include <optscope/reduction/pca.hpp>
#include <optscope/reduction/phate.hpp>
#include <optscope/reduction/row_products.hpp>
#include <optscope/reduction/scaling.hpp>
#include <optscope/reduction/trustworthiness.hpp>

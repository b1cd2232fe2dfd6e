// SPDX-License-Identifier: MIT
#pragma once
// Bodies of named_metrics.hpp.

#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/cosines.hpp>
#include <optscope/similarity/distances.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <optscope/similarity/subspaces.hpp>

namespace optscope {

OPTSCOPE_INLINE std::vector<named_metric> pair_metrics() {
  return {named<cosine>(),
          named<scaled_cosine>(),
          named<centred_cosine>(),
          named<whitened_cosine>(),
          named<pca_cosine>(),
          named<euclidean>(),
          named<rbf>()};
}

OPTSCOPE_INLINE std::vector<named_set_metric> set_metrics() {
  return {named<cka>(), named<cka_debiased>(), named<procrustes>(), named<svcca>(), named<subspace_angles>()};
}

}  // namespace optscope

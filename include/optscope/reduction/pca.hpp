// SPDX-License-Identifier: MIT
#pragma once
// Principal components: the directions in which points vary most, and the points along them.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// The first principal components of a set of points, the one of the largest variance first.
struct principal_components {
  tensor<double, 2> coordinates{};  ///< (point, component): (x - mean) · axis
  tensor<double, 2> axes{};         ///< (component, width), orthonormal
  std::vector<double> variances{};  ///< [component]: of the coordinates, divided by points - 1
  std::vector<double> mean{};       ///< [width]
  double total_variance = 0;        ///< of all directions together

  /// The share of all variance that a component has; 0 if there is none.
  [[nodiscard]] double share(std::size_t component) const {
    return total_variance > 0 ? variances[component] / total_variance : 0;
  }
};

/// `components` of points (point, width), float or double. An axis's largest element is positive, so that the same
/// points always give the same signs. Components beyond the rank of the points are zero, with zero axes: those of
/// points that are all equal, for instance.
///
/// In double, from the eigenvectors of the smaller of the two products XᵀX and XXᵀ: a component whose standard
/// deviation is below 1e-7 of the first one's counts as rounding. Memory: 8 bytes a value of the points, and 24 m², m
/// being the smaller of points and width. Throws `bad_input` with a point's index if an element is not finite.
template <class T>
[[nodiscard]] principal_components pca(tensor_view<const T, 2> points, std::size_t components);
template <class T>
[[nodiscard]] principal_components pca(const tensor<T, 2>& points, std::size_t components) {
  return pca(points.view(), components);
}

/// About how many bytes `pca` needs at most, besides the points: 8 a value of the points, and 24 m², m being the
/// smaller of points and width.
[[nodiscard]] constexpr std::size_t pca_memory(std::size_t points, std::size_t width) {
  const std::size_t smaller = points < width ? points : width;
  return 8 * points * width + 24 * smaller * smaller;
}

/// What share of the variance the first `components` have by chance: the mean over `draws` sets of points in which the
/// values of each dimension are exchanged among the points, drawn with `seed` (parallel analysis, Horn 1965). 0 if
/// there is no variance. Takes as long as `pca` for each draw.
template <class T>
[[nodiscard]] double share_by_chance(tensor_view<const T, 2> points, std::size_t components, std::uint64_t seed = 1,
                                     std::size_t draws = 3);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/pca.ipp>
#endif

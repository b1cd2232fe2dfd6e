// SPDX-License-Identifier: MIT
#pragma once
// Directions that separate categories of texts: linear discriminants, and how well directions do on texts that they
// were not fitted to.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Directions, and where they start: the coordinate of x along one is axis · (x - origin).
struct fitted_axes {
  tensor<double, 2> axes{};      ///< (axis, width)
  std::vector<double> origin{};  ///< [width]
};

/// (point, axis) of points (point, width).
[[nodiscard]] tensor<double, 2> coordinates_along(const fitted_axes& of, tensor_view<const float, 2> points);

/// The first `count` principal axes of the points.
[[nodiscard]] fitted_axes principal_axes(tensor_view<const float, 2> points, std::size_t count);

/// Axes in which the points vary equally: principal axes, `count` at most, divided by the standard deviation. Variances
/// are shrunk towards their mean, by a tenth if not given, so that directions of little variance do not count for much.
[[nodiscard]] fitted_axes whitening_axes(tensor_view<const float, 2> points, std::size_t count = 32,
                                         double shrinkage = 0.1);

/// Fisher's linear discriminants of points of categories `category` [point], the one along which the categories' means
/// are farthest apart first: the principal axes of the means in the coordinates of `whitening_axes`. One fewer than
/// there are categories. Without shrinkage they are scikit-learn's up to their lengths, since whitening by the variance
/// of all points or of those within categories gives the same directions.
[[nodiscard]] fitted_axes linear_discriminants(tensor_view<const float, 2> points,
                                               const std::vector<std::size_t>& category, std::size_t count = 32,
                                               double shrinkage = 0.1);

/// Which texts are in the first (0) and in the second half (1): every other one of each category. [text]
[[nodiscard]] std::vector<std::size_t> halves_of_texts(const std::vector<std::size_t>& category);

/// How many texts of a layer are nearest to the mean of their own category.
struct separation {
  std::size_t right = 0;
  double p_over_all = 1;  ///< share of exchanges of labels under which some layer has at least as many
};

/// What `cross_validate` finds.
struct separations {
  std::vector<separation> layers{};
  std::size_t texts = 0, labelings = 0;  ///< 0 labellings: not tested, since a category has fewer than two texts
  double by_chance = std::numeric_limits<double>::quiet_NaN();  ///< mean over exchanges and layers
  std::size_t level = 0;  ///< some layer has more by chance in 5 % of the exchanges or less
  double smallest_p = 1;  ///< as few texts allow no smaller p
};

/// Cross-validates directions: `layers` [layer][half] has the texts' coordinates (text, axis) along axes that were
/// fitted without the other half, and without labels. Each text is given the category whose mean over the texts of the
/// other half is the nearest, along that half's axes. Labels are exchanged within each half, `most` times in all, the
/// real ones included, so that the means are fitted anew each time.
///
/// Along `whitening_axes` this is what discriminants do: distances of means do not depend on what is orthogonal to
/// them.
[[nodiscard]] separations cross_validate(const std::vector<std::array<tensor<double, 2>, 2>>& layers,
                                         const std::vector<std::size_t>& category, std::size_t most = 1'000,
                                         std::uint64_t seed = 1);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/discriminants.ipp>
#endif

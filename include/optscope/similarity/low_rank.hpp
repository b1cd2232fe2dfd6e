// SPDX-License-Identifier: MIT
#pragma once
// Similarity matrices as a diagonal plus a matrix of low rank: how many components are beyond chance, what they follow,
// what remains.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <string>
#include <vector>

namespace optscope {

/// How much of a component a label explains: the share of its variance between the groups of the label, corrected for
/// their number (epsilon squared: 0 on average by chance), and its p under exchange of the labels. NaN, and p 1, where
/// there are no two groups with several members.
struct explained_by {
  double share = std::numeric_limits<double>::quiet_NaN();
  double p = 1;
};

/// An eigenvector of a centred similarity matrix.
struct matrix_component {
  double share = 0;         ///< of the sum of the positive eigenvalues
  explained_by category{};  ///< labels exchanged between texts, the variance within texts not being the category's
  explained_by text{};      ///< exchanged between the texts at each position
  explained_by position{};  ///< exchanged within each text
  explained_by token{};     ///< tokens that occur twice or more; exchanged within each text
};

/// A similarity matrix as a diagonal plus a matrix of low rank.
struct low_rank_fit {
  bool varies = true;    ///< false: all vectors are equally alike, or fewer than three; nothing was fitted
  std::size_t rank = 0;  ///< eigenvalues beyond those of permuted vectors
  double common = 0;     ///< share of the matrix's sum of squares that its centring takes out: what all vectors share
  double explained = 0;  ///< share of the sum of squares off the diagonal, of the centred matrix, that L has
  double residual = 0;   ///< root mean square off the diagonal of what remains
  double diagonal = 0;   ///< share of the centred matrix's trace that is in the diagonal alone: no other vector has it
  std::vector<matrix_component> components{};  ///< `rank` of them, largest first, ten at most
  std::size_t tests = 0;                       ///< p that were computed, for Holm's correction
};

/// What the vectors of a matrix are; `where.text` ascending.
struct vector_sources {
  vector_labels where{};
  std::vector<std::size_t> position{};  ///< [vector]
  std::vector<std::size_t> token{};     ///< [vector]: any number that is the same for the same token
};

/// Fits D + L to the similarity matrix of vectors (vector, width), its rows and columns centred (of a distance: to
/// -d²/2 centred, which is the matrix of inner products): L is of rank `rank`, D diagonal, by principal axis factoring.
///
/// The rank is by Horn's parallel analysis (1965): leading eigenvalues are counted while each is larger than the same
/// one of 19 matrices of permuted vectors, in each of which the values of every dimension are exchanged between the
/// vectors, so that dimensions keep their distributions and vectors have nothing in common: p is 1/20 for the first. It
/// is conservative beyond the first: beside a component that is much larger, a small one can be missed.
///
/// Cost: 20 similarity matrices, and some 40 symmetric eigenvalue problems of n vectors. Throws `bad_input` for more
/// than 512 vectors.
[[nodiscard]] low_rank_fit fit_low_rank(tensor_view<const float, 2> vectors, const named_metric& metric,
                                        const vector_sources& sources, std::uint64_t seed = 1);
inline constexpr std::size_t most_vectors_of_fit = 512;

/// What a fit finds, in a sentence or two.
[[nodiscard]] std::string finding_of(const low_rank_fit& fit);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/low_rank.ipp>
#endif

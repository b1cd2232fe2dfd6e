// SPDX-License-Identifier: MIT
#pragma once
// The spectrum of one block of a layer at one text: what is asked for, what is found, its ranks.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/rank.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// The blocks of a layer that have a Jacobian each.
enum class block_kind { attention, mlp };

/// "attention" or "dense (MLP)".
[[nodiscard]] std::string title_of(block_kind block);

/// The Jacobian's shape for a text of this many tokens: (tokens hidden, tokens hidden), as analysers are asked about
/// it.
[[nodiscard]] operator_shape jacobian_shape(block_kind block, std::size_t tokens, std::size_t hidden,
                                            std::size_t scalar_bytes);

/// One spectrum that is asked for.
struct block_request {
  block_kind block = block_kind::attention;
  std::size_t layer = 0, text = 0;
  std::size_t tokens = 0;  ///< of the text's beginning, BOS included
  std::string name{};      ///< "attn-5", "mlp-5-text-3": of its files

  [[nodiscard]] bool same_as(const block_request& other) const noexcept {
    return block == other.block && layer == other.layer && text == other.text && tokens == other.tokens;
  }
};

/// What was found.
struct block_spectrum {
  block_request of;
  spectrum found;
  std::vector<std::size_t> active;    ///< MLP: [token]: neurons whose derivative is not zero
  leading_directions writes, reads;   ///< in hidden space; empty if they were not asked for
  std::vector<double> share_written;  ///< [token]: of its output's square, in `writes`
  std::vector<double> share_read;     ///< [token]: of its input's square, in `reads`
  double residual = 0;  ///< of the worst singular vector that the directions come from, if they did not converge

  /// The largest rank that the structure allows: LayerNorm takes one direction from each token, and ReLU the neurons
  /// that are off.
  [[nodiscard]] std::size_t bound(std::size_t hidden) const;
  [[nodiscard]] rank_notions ranks(std::size_t hidden) const;
};

template <class File>
void fields_of(File& file, block_spectrum& found) {
  file(found.found, found.active, found.writes, found.reads, found.share_written, found.share_read, found.residual);
}

/// (threshold, {threshold, count of values above it, error}): a sampled density at `rows` thresholds, evenly spaced in
/// the logarithm, from the largest value down to just above the resolution limit; `to_the_limit` includes the limit.
[[nodiscard]] tensor<double, 2> density_table(const spectral_density& density, std::size_t rows,
                                              bool to_the_limit = false);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/block_spectrum.ipp>
#endif

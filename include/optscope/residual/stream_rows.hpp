// SPDX-License-Identifier: MIT
#pragma once
// The stream at every depth: the embedding, then what each layer leaves.

#include <cstddef>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/positions.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A capture of the stream at each depth: 0 is the embedding, `embed` + `pos_embed`, and d is `resid_post` of layer
/// d - 1. With `logits_of` it is the logit lens (nostalgebraist 2020):
///
///     stream_rows<float> stream;
///     opt.run(texts, stream);
///     for (std::size_t depth = 0; depth <= opt.layers(); ++depth) {
///       const tensor<float, 2> belief = opt.logits_of(stream.at(depth));  // (vector, vocabulary)
///     }
template <class T>
class stream_rows : public basic_capture<T, site::embed, site::pos_embed, site::resid_post> {
 public:
  /// At these positions, at every depth.
  explicit stream_rows(positions where = positions::all())
      : basic_capture<T, site::embed, site::pos_embed, site::resid_post>{std::move(where)} {}
  /// At one depth only.
  stream_rows(positions where, std::size_t depth) : stream_rows{std::move(where)} {
    if (depth == 0) {
      this->only_sites({"embed", "pos_embed"});
    } else {
      this->only_sites({"resid_post"}).only_layers({depth - 1});
    }
  }

  /// (vector, hidden), vectors text by text. Throws `bad_input` for a depth that was left out or that there is not.
  [[nodiscard]] tensor<T, 2> at(std::size_t depth) const {
    const tensor_view<const T, 2> rows = depth == 0 ? (*this)(site::embed{}) : (*this)(site::resid_post{}, depth - 1);
    tensor<T, 2> result{rows.shape()};
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      for (std::size_t i = 0; i < rows.cols(); ++i) {
        result(row, i) = depth == 0 ? rows(row, i) + (*this)(site::pos_embed{})(row, i) : rows(row, i);
      }
    }
    return result;
  }
};

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// What a capture keeps, without its sites' types: the chosen positions and the activations there.

#include <array>
#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/positions.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// Where a row of a capture comes from.
struct captured_row {
  std::size_t text = 0;
  std::size_t position = 0;
};

}  // namespace optscope

namespace optscope::detail {

/// Activations of `sites`, each of which goes by its index there. Every tensor has three axes: (row, width, 1),
/// (row, head, width) or (head, row, key).
template <class Scalar>
class capture_storage {
 public:
  /// The list must outlive it: `site_list::infos` does.
  capture_storage(std::span<const site_info* const> sites, positions chosen);

  void only_layers(std::vector<std::size_t> layers);
  void only_sites(std::vector<std::string> names);
  [[nodiscard]] bool wants(std::size_t site, std::size_t layer) const;
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const;
  [[nodiscard]] std::vector<std::size_t> rows(const place& at, std::size_t count) const {
    return rows_among(now_.chosen[at.text], at.first_position, count);
  }

  void begin(const run_plan& plan);
  void finish();
  template <class T>
  void keep(std::size_t site, const place& at, tensor_view<const T, 3> view);

  [[nodiscard]] std::span<const site_info* const> sites() const noexcept { return sites_; }
  [[nodiscard]] std::size_t texts() const noexcept { return now_.chosen.size(); }
  [[nodiscard]] std::size_t layers(std::size_t site) const { return now_.store[site].layers.size(); }
  [[nodiscard]] tensor_view<const Scalar, 3> all_texts(std::size_t site, std::size_t layer) const;
  [[nodiscard]] tensor_view<const Scalar, 3> one_text(std::size_t site, std::size_t layer, std::size_t text) const;
  [[nodiscard]] bool keeps(std::size_t site, std::size_t layer) const;
  /// Of what is kept of a text with this many tokens.
  [[nodiscard]] std::array<std::size_t, 3> extents(std::size_t site, const architecture& shape, std::size_t length,
                                                   std::size_t text) const;
  [[nodiscard]] const std::vector<std::size_t>& positions_of(std::size_t text) const;
  [[nodiscard]] std::optional<std::size_t> row_of(std::size_t text, std::size_t position) const;
  [[nodiscard]] std::size_t tokens_of(std::size_t text) const;
  [[nodiscard]] std::string name_of(std::size_t text) const;
  [[nodiscard]] captured_row origin(std::size_t row) const;

 private:
  struct kept {                               // of one site
    std::vector<std::vector<Scalar>> layers;  // [layer]: all texts; empty for layers that are not wanted
    std::vector<std::size_t> offset;          // [text]: its first element
    std::size_t rows = 0;                     // positions of all texts together
    std::array<std::size_t, 2> inner{1, 1};   // (width, 1), (head, width) or (head, 1)
  };
  struct part {                                    // of one run
    std::vector<std::size_t> keys;                 // [text]: tokens that its last one sees
    std::vector<std::vector<std::size_t>> chosen;  // [text]: positions
    std::vector<kept> store;                       // [site]
  };

  void check_kept(std::size_t site, std::size_t layer) const;
  void check_text(const std::string& item, std::size_t text) const;
  tensor_view<const Scalar, 3> text_of(const part& run, std::size_t site, std::size_t layer, std::size_t text) const;
  void allocate();
  void join(std::size_t site);

  std::span<const site_info* const> sites_;
  positions positions_;
  std::optional<std::vector<std::size_t>> layers_;
  std::optional<std::vector<std::string>> names_;
  architecture shape_;
  std::vector<std::string> names_of_texts_;
  part now_;                   // of the last run, or of all runs of a generation
  std::vector<part> earlier_;  // of a generation that has not finished
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/capture_storage.ipp>
#endif

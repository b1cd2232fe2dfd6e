// SPDX-License-Identifier: MIT
#pragma once
// Bodies of saved_sums.hpp.

#include <optscope/core/saved_state.hpp>
#include <optscope/units/saved_sums.hpp>

namespace optscope {

template <class File>
void fields_of(File& file, run_place& next) {
  file(next.text, next.window);
}
template <class File>
void fields_of(File& file, unit_sums& sums) {
  sums.for_each_array([&](auto values) { file(values); });
}

OPTSCOPE_INLINE void save_sums(const std::string& file, const std::string& fingerprint, const run_place& next,
                               const unit_sums& sums) {
  write_state(file, fingerprint, next, sums);
}

OPTSCOPE_INLINE run_place load_sums(const std::string& file, const std::string& fingerprint, unit_sums& sums) {
  run_place next;
  static_cast<void>(read_state(file, fingerprint, next, sums));
  return next;
}

}  // namespace optscope

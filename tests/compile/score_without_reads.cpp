// expects: a removal score has a call operator
#include <optscope/isolation/removal_scores.hpp>
#include <vector>

using namespace optscope;

struct loudest {
#ifndef MUST_FAIL
  static constexpr score_input reads = score_input::activity;
#endif
  static constexpr bool absolute = false;
  std::vector<double> operator()(const scored_texts& texts, std::size_t) const {
    return std::vector<double>(texts.sums.units().size());
  }
};

const any_removal_score score{loudest{}};

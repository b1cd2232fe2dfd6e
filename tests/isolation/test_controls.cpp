// SPDX-License-Identifier: MIT
// What the controls of a removal say together: the verdict, typed and as a sentence.
#include <doctest/doctest.h>

#include <optscope/isolation/controls.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

constexpr candidate_terms terms{.part_of_layer = "half", .kept_most = "of highest activity in the kept category"};

/// A control in which `turned` of 10 prompts of category 1 are continued as 0, whose loss is `loss`.
control_result row(control what, std::size_t turned, double loss, std::size_t layer = 0) {
  behaviour found;
  found.loss = {loss, 5};
  found.judged = {{10, 0}, {turned, 10 - turned}};
  return {.what = what, .layer = layer, .removed = 1, .found = std::move(found)};
}

removal_verdict judged(const std::vector<control_result>& rows) { return verdict_of(rows, 0, true); }
std::string said(const removal_verdict& verdict) { return sentence_of(verdict, terms, 4, "code"); }
std::string said(const std::vector<control_result>& rows) { return said(judged(rows)); }

/// Nothing, the removal, half of layers 0 and 3 alone, the halves, the shift by hand.
std::vector<control_result> rows_with(std::size_t layer0, std::size_t layer3, std::size_t second, std::size_t shift,
                                      double shift_loss) {
  return {row(control::nothing, 0, 2),
          row(control::whole_removal, 10, 2.1),
          row(control::layer_alone, layer0, 2.15, 0),
          row(control::layer_alone, layer3, 2.15, 3),
          row(control::first_half, 2, 2.05),
          row(control::second_half, second, 2.05),
          row(control::logit_shift, shift, shift_loss)};
}

bool begins(const std::string& text, const std::string& with) { return text.starts_with(with); }

}  // namespace

TEST_CASE("the verdict follows from where the effect sits, and from what that costs") {
  using enum removal_verdict::explanation;
  CHECK(judged(rows_with(9, 0, 2, 1, 2.2)).what == input_sight);
  CHECK(judged(rows_with(9, 0, 2, 9, 2.15)).what == output_shift);
  CHECK(judged(rows_with(9, 0, 2, 9, 3)).what == input_sight);  // the shift costs what explains nothing
  CHECK(judged(rows_with(3, 3, 4, 1, 2.2)).what == between);
  CHECK(judged(rows_with(3, 3, 4, 1, 2.2)).layers_alone.empty());
  CHECK(judged(rows_with(3, 9, 9, 1, 2.2)).layers_alone == std::vector<std::size_t>{3});
  std::vector<control_result> dear = rows_with(3, 9, 9, 1, 2.2);
  dear[3].found.loss[0] = 2.3;  // layer 3 alone costs 0.2 more than the removal
  CHECK(judged(dear).layers_alone.empty());
  const std::vector<control_result> weak{row(control::nothing, 0, 2), row(control::whole_removal, 3, 2)};
  CHECK(verdict_of(weak, 0, false).what == not_held);
  CHECK(verdict_of(weak, 0, true).what != not_held);
}

TEST_CASE("the verdict is a sentence") {
  CHECK(begins(said(rows_with(9, 0, 2, 1, 2.2)), "Sight of the input"));
  CHECK(begins(said(rows_with(9, 0, 2, 9, 2.15)), "A shift of the output"));
  CHECK(begins(said(rows_with(3, 3, 4, 1, 2.2)),
               "Something between sight of the input and shift of the output: no part of the 4 layers does it alone"));
  CHECK(begins(said(rows_with(3, 9, 9, 1, 2.2)),
               "Something between sight of the input and shift of the output: half of layer 3 alone does nearly as"));
  std::vector<control_result> several = rows_with(9, 9, 9, 1, 2.2);
  CHECK_NE(said(several).find(": half of layer 0 or 3 alone does nearly as much; the"), std::string::npos);
  several.push_back(row(control::layer_alone, 10, 2, 12));
  CHECK_NE(said(several).find(": half of layer 0, 3 or 12 alone does nearly as much; the"), std::string::npos);
  CHECK(begins(said({.what = removal_verdict::explanation::not_held}), "These units do not hold it"));
  CHECK_EQ(label_of(several.back(), terms), "half of layer 12 alone");
}

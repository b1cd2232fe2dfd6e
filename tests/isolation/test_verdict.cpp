// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/isolation/verdict.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

/// A row of which `turned` of 10 prompts of category 1 are continued as 0, whose loss is `loss`.
row of(std::string what, std::size_t turned, double loss) {
  behaviour found;
  found.loss = {loss, 5};
  found.judged = {{10, 0}, {turned, 10 - turned}};
  return {std::move(what), 1, std::move(found)};
}

std::string said(const std::vector<row>& rows, bool reached = true) { return verdict(rows, 0, 4, "code", reached); }

/// Nothing, the removal, half of layers 0 and 3 alone, the halves, the shift by hand.
std::vector<row> rows_with(std::size_t layer0, std::size_t layer3, std::size_t second, std::size_t shift,
                           double shift_loss) {
  return {of("nothing", 0, 2),
          of("the removal", 10, 2.1),
          of("half of layer 0 alone", layer0, 2.15),
          of("half of layer 3 alone", layer3, 2.15),
          of("its part in the first half of the layers", 2, 2.05),
          of("its part in the second half of the layers", second, 2.05),
          of("nothing, the change of the mean logits added by hand, times 1", shift, shift_loss)};
}

bool begins(const std::string& text, const std::string& with) { return text.starts_with(with); }

}  // namespace

TEST_CASE("the verdict follows from where the effect sits, and from what that costs") {
  CHECK(begins(said(rows_with(9, 0, 2, 1, 2.2)), "Sight of the input"));
  CHECK(begins(said(rows_with(9, 0, 2, 9, 2.15)), "A shift of the output"));
  CHECK(begins(said(rows_with(9, 0, 2, 9, 3)), "Sight of the input"));  // the shift costs what explains nothing
  CHECK(begins(said(rows_with(3, 3, 4, 1, 2.2)),
               "Something between sight of the input and shift of the output: no part of the 4 layers does it alone"));
  CHECK(begins(said(rows_with(3, 9, 9, 1, 2.2)),
               "Something between sight of the input and shift of the output: half of layer 3 alone does nearly as"));
  std::vector<row> several = rows_with(9, 9, 9, 1, 2.2);
  CHECK_NE(said(several).find(": half of layer 0 or 3 alone does nearly as much; the"), std::string::npos);
  several.push_back(of("half of layer 12 alone", 10, 2));
  CHECK_NE(said(several).find(": half of layer 0, 3 or 12 alone does nearly as much; the"), std::string::npos);
  CHECK(begins(said({of("nothing", 0, 2), of("the removal", 3, 2)}, false), "These units do not hold it"));
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/core/selection.hpp>

using namespace optscope;

namespace {
using indices = std::vector<std::size_t>;

std::string refusal(std::string_view spec, std::size_t extent) {
  try {
    (void)parse_selection(spec, extent, "--layers");
  } catch (const bad_input& e) {
    return e.what();
  }
  return "no exception";
}

// Python's slice.indices, written from its reference.
indices python_slice(std::int64_t n, bool has_begin, std::int64_t begin, bool has_end, std::int64_t end,
                     std::int64_t step) {
  const std::int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? n - 1 : n;
  const auto bound = [&](std::int64_t i) {
    if (i < 0) i += n;
    return i < lowest ? lowest : i > highest ? highest : i;
  };
  const std::int64_t first = has_begin ? bound(begin) : step < 0 ? highest : lowest;
  const std::int64_t last = has_end ? bound(end) : step < 0 ? lowest : highest;
  indices result;
  for (std::int64_t i = first; step > 0 ? i < last : i > last; i += step) result.push_back(static_cast<std::size_t>(i));
  return result;
}
}  // namespace

TEST_CASE("a selection keeps the order as written, drops repeats and counts negative indices from the end") {
  CHECK(parse_selection("all", 3) == indices{0, 1, 2});
  CHECK(parse_selection("5,0,-1,5,11", 12) == indices{5, 0, 11});
  CHECK(parse_selection("475:512:4", 512) == indices{475, 479, 483, 487, 491, 495, 499, 503, 507, 511});
  CHECK(parse_selection("-1,:3, 1", 5) == indices{4, 0, 1, 2});
  CHECK(parse_selection("::-1", 4) == indices{3, 2, 1, 0});
  CHECK(parse_selection("2:99999999999999999999:9223372036854775807", 5) == indices{2});
  CHECK(parse_selection("::-9223372036854775808", 5) == indices{4});
}

TEST_CASE("slices clip as Python's do") {
  for (std::int64_t n : {1, 2, 5}) {
    for (std::int64_t begin = -8; begin <= 8; ++begin) {
      for (std::int64_t end = -8; end <= 8; ++end) {
        for (std::int64_t step : {-7, -2, -1, 1, 2, 7}) {
          for (int form = 0; form < 4; ++form) {
            const std::string spec = (form & 1 ? std::to_string(begin) : "") + ":" +
                                     (form & 2 ? std::to_string(end) : "") + ":" + std::to_string(step);
            const indices expected = python_slice(n, form & 1, begin, form & 2, end, step);
            CAPTURE(spec);
            if (expected.empty()) {
              CHECK_NE(refusal(spec, static_cast<std::size_t>(n)), "no exception");
            } else {
              CHECK(parse_selection(spec, static_cast<std::size_t>(n)) == expected);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("an index out of range, an empty selection and a malformed one are refused by name") {
  CHECK_EQ(refusal("12", 12), "--layers: expected indices from -12 to 11, found 12");
  CHECK_EQ(refusal("0,-13", 12), "--layers: expected indices from -12 to 11, found -13");
  CHECK_EQ(refusal("99999999999999999999", 12),
           "--layers: expected indices from -12 to 11, found 99999999999999999999");
  CHECK_EQ(refusal("5:2", 12), "--layers: expected a selection of at least one of 12, found none in '5:2'");
  CHECK_NE(refusal("all", 0), "no exception");
  for (const char* spec :
       {"", ",", "1,", "a", "1:b", "1:2:3:4", "1.5", "+1", "--1", "1 2", "::0", "all,1", "0x1", "last"}) {
    CAPTURE(spec);
    CHECK_EQ(refusal(spec, 12).rfind("--layers: expected ", 0), 0);
  }
}

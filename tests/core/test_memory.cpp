// SPDX-License-Identifier: MIT
// Sizes and times in words.
#include <doctest/doctest.h>

#include <optscope/core/memory.hpp>

using namespace optscope;

TEST_CASE("bytes and seconds in words have the unit that a reader expects") {
  CHECK_EQ(memory_text(999), "999 B");
  CHECK_EQ(memory_text(5'460'000'000), "5.5 GB");
  CHECK_EQ(duration_text(0), "0 s");
  CHECK_EQ(duration_text(0.001), "less than 0.01 s");
  CHECK_EQ(duration_text(0.2), "0.2 s");
  CHECK_EQ(duration_text(7), "7 s");
  CHECK_EQ(duration_text(59.4), "59 s");
  CHECK_EQ(duration_text(90), "1.5 min");
  CHECK_EQ(duration_text(12 * 60), "12 min");
  CHECK_EQ(duration_text(5400), "1.5 h");
}

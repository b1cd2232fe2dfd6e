// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <optscope/core/permutation.hpp>
#include <set>
#include <vector>

using namespace optscope;

TEST_CASE("if there are few arrangements of labels, each comes once, the real one first") {
  const std::vector<std::size_t> labels{2, 0, 1, 0};
  std::vector<std::vector<std::size_t>> found;
  const labelling_count count = for_each_labelling(
      labels, 12, 1, [&](std::span<const std::size_t> each) { found.emplace_back(each.begin(), each.end()); });
  CHECK(count.exact);
  CHECK_EQ(count.count, 12);
  REQUIRE_EQ(found.size(), 12);
  CHECK_EQ(found[0], labels);
  CHECK(std::is_sorted(found.begin() + 1, found.end()));
  CHECK_EQ(std::set<std::vector<std::size_t>>(found.begin(), found.end()).size(), 12);
}

TEST_CASE("if there are more arrangements than asked for, they are sampled; a seed repeats them") {
  std::vector<std::size_t> labels(20, 0);
  std::fill_n(labels.begin(), 9, 1);
  const auto sample = [&](std::uint64_t seed) {
    std::vector<std::vector<std::size_t>> found;
    const labelling_count count = for_each_labelling(
        labels, 500, seed, [&](std::span<const std::size_t> each) { found.emplace_back(each.begin(), each.end()); });
    CHECK_FALSE(count.exact);
    CHECK_EQ(count.count, 500);
    return found;
  };
  const auto first = sample(3);
  REQUIRE_EQ(first.size(), 500);
  CHECK_EQ(first[0], labels);
  for (const auto& each : first) CHECK_EQ(std::ranges::count(each, std::size_t{1}), 9);
  CHECK_EQ(sample(3), first);
  CHECK(sample(4) != first);
}

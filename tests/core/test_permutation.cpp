// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <optscope/core/permutation.hpp>
#include <optscope/core/students_quantile.hpp>
#include <set>
#include <utility>
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

TEST_CASE("Student's quantile is scipy's; between whole degrees of freedom it falls") {
  // scipy.stats.t.ppf(0.975, df)
  for (const auto& [freedom, value] : std::vector<std::pair<double, double>>{
           {1, 12.7062}, {2, 4.30265}, {3, 3.18245}, {4, 2.77645}, {7, 2.36462}, {15, 2.13145}, {100, 1.98397}}) {
    CHECK(students_quantile(freedom) == doctest::Approx(value).epsilon(2e-3));
  }
  for (double freedom = 1; freedom < 8; freedom += 0.25) {
    CHECK(students_quantile(freedom) > students_quantile(freedom + 0.25));
  }
  CHECK_EQ(students_quantile(0.2), students_quantile(1));
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <numeric>
#include <optscope/interop/xtensor.hpp>
#include <type_traits>
#include <vector>
#if __has_include(<xtensor/reducers/xreducer.hpp>)
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#endif

using namespace optscope;

namespace {
template <class From, class To>
concept converts = std::is_convertible_v<From, To>;

std::vector<float> counting(std::size_t size) {
  std::vector<float> data(size);
  std::iota(data.begin(), data.end(), 0.0f);
  return data;
}
}  // namespace

// What must convert, and what must not.
static_assert(converts<tensor_view<const float, 2>, xt::xtensor<float, 2>>);
static_assert(converts<tensor_view<float, 2>, xt::xtensor<float, 2>>);
static_assert(converts<tensor<float, 3>, xt::xtensor<float, 3>>);
static_assert(!converts<tensor_view<const float, 2>, xt::xtensor<float, 3>>);
static_assert(!converts<tensor_view<const float, 2>, xt::xtensor<double, 2>>);
static_assert(container_of<xt::xtensor<float, 2>, tensor_view<const float, 2>>);
static_assert(!container_of<xt::xtensor<float, 3>, tensor_view<const float, 2>>);

TEST_CASE("a view becomes an xtensor container by assignment and by construction, without the gaps between its rows") {
  auto data = counting(20);
  const tensor_view<const float, 2> view{data.data(), {3, 4}, 7};
  const xt::xtensor<float, 2> assigned = view;
  const xt::xtensor<float, 2> constructed{view};
  xt::xtensor<float, 2> later;
  later = view;
  for (const xt::xtensor<float, 2>* found :
       {&assigned, &constructed, static_cast<const xt::xtensor<float, 2>*>(&later)}) {
    REQUIRE_EQ(found->shape()[0], 3u);
    REQUIRE_EQ(found->shape()[1], 4u);
    CHECK_EQ((*found)(2, 3), 17.0f);
    CHECK_EQ((*found)(1, 0), 7.0f);
  }
  CHECK(to_xtensor(view) == assigned);
}

TEST_CASE("an adaptor refers to the view's memory, rows apart and axes of length one included") {
  auto data = counting(60);
  const tensor_view<float, 3> view{data.data(), {2, 3, 4}, 30};
  auto adapted = adapt(view);
  CHECK_EQ(adapted(1, 2, 3), view(1, 2, 3));
  adapted(1, 0, 0) = -1.0f;
  CHECK_EQ(data[30], -1.0f);
  const xt::xtensor<float, 3> copy = adapted;
  CHECK(copy == to_xtensor(view));
  const xt::xtensor<float, 3> doubled = 2.0f * adapted;
  CHECK_EQ(doubled(1, 2, 3), 2 * view(1, 2, 3));
  const xt::xtensor<float, 2> sums = xt::sum(adapted, {2});
  CHECK_EQ(sums(1, 1), 34.0f + 35 + 36 + 37);

  // One row of a longer array: its own stride must not be taken for one when it is broadcast.
  const tensor_view<const float, 2> row{data.data(), {1, 4}, 30};
  const xt::xtensor<float, 2> ones = xt::ones<float>({3, 4});
  const xt::xtensor<float, 2> sum = ones + adapt(row);
  CHECK_EQ(sum(2, 3), 4.0f);
  const tensor_view<const float, 2> column{data.data(), {3, 1}, 2};
  const xt::xtensor<float, 2> wide = ones * adapt(column);
  CHECK_EQ(wide(2, 3), 4.0f);
  CHECK_EQ(wide(1, 0), 2.0f);
}

TEST_CASE("a tensor without rows converts and adapts to an empty container") {
  const tensor<double, 2> none{{0, 5}};
  CHECK_EQ(to_xtensor(none).shape()[1], 5u);
  CHECK_EQ(adapt(none).size(), 0u);
}

TEST_CASE("an xtensor container is seen as a view without a copy") {
  xt::xtensor<double, 2> values = {{1, 2, 3}, {4, 5, 6}};
  const tensor_view<double, 2> view = view_of(values);
  view(1, 2) = 60;
  CHECK_EQ(values(1, 2), 60.0);
  const auto& constant = values;
  CHECK_EQ(view_of(constant).row(1)[0], 4.0);
}

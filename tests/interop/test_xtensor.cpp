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
#include <stdexcept>
#include <utility>
#include <xtensor-blas/xlinalg.hpp>

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

TEST_CASE("contiguous views multiply in xt::linalg::dot without a copy, whatever their shape") {
  auto left = counting(60), right = counting(60);
  for (float& value : right) value = 3 - value / 7;
  for (const std::size_t m : {1u, 2u, 4u}) {
    for (const std::size_t k : {1u, 3u, 5u}) {
      for (const std::size_t n : {1u, 2u, 3u}) {
        const tensor_view<const float, 2> a{left.data(), {m, k}};
        const tensor_view<float, 2> b{right.data(), {k, n}};
        const xt::xtensor<float, 2> found = xt::linalg::dot(adapt(a), adapt(b));
        const xt::xtensor<float, 2> expected = xt::linalg::dot(to_xtensor(a), to_xtensor(b));
        REQUIRE_EQ(found.shape(), expected.shape());
        CHECK(found == expected);
        const tensor_view<const float, 1> x{right.data(), {k}};
        const xt::xtensor<float, 1> by_vector = xt::linalg::dot(adapt(a), adapt(x));
        CHECK(by_vector == xt::xtensor<float, 1>{xt::linalg::dot(to_xtensor(a), to_xtensor(x))});
        const xt::xtensor<float, 2> turned = xt::linalg::dot(xt::transpose(adapt(b)), xt::transpose(adapt(a)));
        CHECK_EQ(turned(n - 1, m - 1), doctest::Approx(found(m - 1, n - 1)));
      }
    }
  }
}

TEST_CASE("rows with gaps are refused by xt::linalg::dot, and one row of them has none") {
  auto data = counting(60);
  const tensor_view<const float, 2> apart{data.data(), {3, 4}, 7}, square{data.data(), {4, 4}};
  CHECK_THROWS_AS(xt::linalg::dot(adapt(apart), adapt(square)), std::runtime_error);
  const xt::xtensor<float, 2> row = xt::linalg::dot(adapt(apart.slice(1, 1)), adapt(square));
  CHECK_EQ(row(0, 0), 7 * 0 + 8 * 4 + 9 * 8 + 10 * 12);
}

TEST_CASE("a head of a view is adapted and copied with its gaps") {
  auto data = counting(2 * 3 * 4);
  const tensor_view<const float, 3> z{data.data(), {2, 3, 4}};  // (position, head, head_dim)
  const auto head = head_of(z, 2);
  CHECK_EQ(adapt(head)(1, 3), z(1, 2, 3));
  CHECK(to_xtensor(head) == xt::xtensor<float, 2>{adapt(head)});
}

TEST_CASE("a view that is a temporary is adapted: the memory counts") {
  tensor<float, 2> values{{2, 3}};
  values(1, 2) = 5;
  const auto give = [&] { return std::as_const(values).view(); };
  const auto adapted = adapt(give());
  CHECK_EQ(adapted(1, 2), 5.0f);
  using namespace xt;  // its adapt takes anything
  CHECK_EQ(adapt(give().slice(1, 1))(0, 2), 5.0f);
  CHECK_EQ(adapt(tensor_view<float, 2>{values})(1, 2), 5.0f);
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

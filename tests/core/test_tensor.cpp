// SPDX-License-Identifier: MIT
// Misuse of tensors is an assertion; containers of other libraries are made by the contract of container_from_view.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optscope/core/tensor.hpp>
#include <string>
#include <type_traits>
#include <vector>

using namespace optscope;

namespace {

// A container with the one function of the contract.
struct row_lengths {
  std::vector<std::size_t> lengths{};
};

}  // namespace

template <>
struct optscope::container_from_view<row_lengths> {
  static row_lengths make(const tensor_view<const double, 2>& view) {
    return {.lengths = std::vector<std::size_t>(view.rows(), view.cols())};
  }
};

static_assert(container_of<row_lengths, tensor_view<const double, 2>>);
static_assert(std::is_convertible_v<tensor<double, 2>, row_lengths>);
static_assert(!std::is_convertible_v<tensor_view<const float, 2>, row_lengths>);
static_assert(!std::is_convertible_v<tensor_view<const double, 3>, row_lengths>);
static_assert(!std::is_convertible_v<tensor_view<const double, 2>, std::string>);

namespace {

// Whether `body` ends a process by an assertion.
template <class Body>
bool asserts(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    ::close(STDERR_FILENO);
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

template <class T>
void use(const T&) {}

}  // namespace

TEST_CASE("a container is made from a view by the contract") {
  const tensor<double, 2> values{{3, 5}};
  const row_lengths found = values;
  CHECK_EQ(found.lengths, std::vector<std::size_t>(3, 5));
}

TEST_CASE("an index outside, a row outside, a slice outside and a shape that does not fit are assertions") {
  std::vector<float> data(24);
  const tensor_view<float, 3> apart{data.data(), {2, 2, 3}, 12};
  tensor<float, 2> values{{3, 4}};
  CHECK_FALSE(asserts([&] {
    use(apart(1, 1, 2));
    use(apart.row(1));
    use(apart.slice(2, 0));
    use(apart.reshape<2>({2, 6}));
    use(apart.slice(1, 1).reshape<1>({6}));
    use(values.view().reshape<3>({2, 2, 3}));
    use(values(2, 3));
  }));
  CHECK(asserts([&] { use(apart(2, 0, 0)); }));
  CHECK(asserts([&] { use(apart(0, 2, 0)); }));
  CHECK(asserts([&] { use(apart(0, 0, 3)); }));
  CHECK(asserts([&] { use(apart(0, 0, -1)); }));
  CHECK(asserts([&] { use(apart.row(2)); }));
  CHECK(asserts([&] { use(apart.extent(3)); }));
  CHECK(asserts([&] { use(apart.slice(1, 2)); }));
  CHECK(asserts([&] { use(apart.slice(3, 0)); }));
  CHECK(asserts([&] { use(apart.reshape<1>({12})); }));    // its rows are apart
  CHECK(asserts([&] { use(apart.reshape<2>({2, 5})); }));  // fewer elements
  CHECK(asserts([&] { use(values.view().reshape<1>({11})); }));
  CHECK(asserts([&] { use(values(3, 0)); }));
  CHECK(asserts([&] { use(values.row(3)); }));
  CHECK(asserts([&] { use(values.extent(2)); }));
}

TEST_CASE(
    "one head of (position, head, head_dim) is a view with the positions as far apart, of one head and rows apart "
    "too") {
  std::vector<float> data(200);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  for (const std::size_t heads : {1u, 3u}) {
    for (const std::size_t stride : {heads * 5, heads * 5 + 2}) {
      const tensor_view<float, 3> z{data.data(), {4, heads, 5}, stride};
      for (std::size_t head = 0; head < heads; ++head) {
        const tensor_view<float, 2> one = head_of(z, head);
        CHECK_EQ(one.shape(), std::array<std::size_t, 2>{4, 5});
        for (std::size_t position = 0; position < 4; ++position) {
          for (std::size_t d = 0; d < 5; ++d) CHECK_EQ(&one(position, d), &z(position, head, d));
        }
      }
    }
  }
}

TEST_CASE("a tensor has the rows and columns of its view") {
  const tensor<float, 3> cube{{2, 3, 4}};
  CHECK_EQ(cube.rows(), 2);
  CHECK_EQ(cube.cols(), 12);  // all later axes together
}

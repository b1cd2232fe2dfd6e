// SPDX-License-Identifier: MIT
// The CUDA backend without a GPU: an emulator runs its kernels, so that all but cuBLASLt's products is what a GPU does.
#include <doctest/doctest.h>

#include <algorithm>
#include <backend/emulated_device.hpp>
#include <backend/numbers.hpp>
#include <cmath>
#include <compare.hpp>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numeric>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/running_moments.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "golden.hpp"
#include "some_runs.hpp"
#include "table.hpp"

using namespace optscope;
using emulator::emulated_cuda;
using emulator::emulated_device;

namespace {

/// w (n, k) in the device's memory with the elements of `type`, in one block or in three.
template <class T>
struct device_matrix {
  tensor_in<std::byte, 2, emulated_cuda::space> memory;
  matrix_view<T, emulated_cuda::space> view;

  device_matrix(emulated_cuda& backend, const matrix_view<T>& from, bool in_three)
      : memory{backend, {from.rows() + 2, from.row_bytes()}} {
    const std::size_t third = from.rows() / 3;
    const auto place = [&](std::size_t row) { return in_three ? row + row / third : row; };
    backend.write(memory.view(), [&](tensor_view<std::byte, 2> rows) {
      for (std::size_t row = 0; row < from.rows(); ++row) {
        std::memcpy(rows.row(place(row)).data(), from.row(row), from.row_bytes());
      }
    });
    using matrix = matrix_view<T, emulated_cuda::space>;
    const auto block = [&](std::size_t first, std::size_t rows) -> matrix {
      return {pointer_to<const std::byte, emulated_cuda::space>{memory.view().data()} + first * from.row_bytes(),
              from.type(),
              {rows, from.cols()}};
    };
    view = in_three ? matrix{block(0, third), block(third + 1, third), block(2 * third + 2, third)}
                    : block(0, from.rows());
  }
};

/// y = x wᵀ + bias on the device.
template <class T>
tensor<T, 2> device_linear(emulated_cuda backend, tensor_view<const T, 2> x, const matrix_view<T>& w,
                           const std::vector<T>& bias, bool in_three) {
  using space = emulated_cuda::space;
  tensor_in<T, 2, space> on_device{backend, {x.rows(), x.cols()}}, y{backend, {x.rows(), w.rows()}},
      b{backend, {1, w.rows()}};
  detail::copy_from_host<T, 2>(backend, x, on_device.view());
  if (!bias.empty()) detail::copy_from_host<T, 2>(backend, {bias.data(), {1, w.rows()}}, b.view());
  const device_matrix<T> weights{backend, w, in_three};
  backend.linear(std::as_const(on_device).view(), weights.view,
                 bias.empty() ? pointer_to<const T, space>{} : std::as_const(b).view().data(), y.view());
  tensor<T, 2> result{{x.rows(), w.rows()}};
  detail::copy_to_host<T, 2>(backend, std::as_const(y).view(), result.view());
  return result;
}

template <class T>
std::vector<std::byte> stored(dtype type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half =
        type == dtype::f16 ? emulator::float_to_half(values[i]) : emulator::in_float::float_to_bfloat16(values[i]);
    const void* const from = type == dtype::f32 ? static_cast<const void*>(&values[i]) : &half;
    std::memcpy(bytes.data() + i * size_of(type), from, size_of(type));
  }
  return bytes;
}

}  // namespace

TEST_CASE("CUDA, emulated: every site of pre-LN and post-LN models agrees with transformers" *
          doctest::test_suite("long")) {
  for (const char* name : {"head-dim-7", "post-ln-projected"}) {
    CAPTURE(name);
    const std::string folder = goldens + "model/" + name;
    compare_with_transformers<float>(folder, folder, 5e-5, emulated_cuda{{.threads = 1}});
  }
  CHECK_EQ(emulated_device::allocated, 0);
}

TEST_CASE_TEMPLATE("CUDA, emulated: products in each mode, with weights of each type, have that mode's error", T, float,
                   double) {
  struct errors {
    cuda_mode mode;
    double f16, bf16, f32;  // the error allowed for weights of that type; 0: refused
  };
  const std::size_t n = 36, k = 52;
  const std::vector<T> values = numbers<T>(20 * k, 1), bias = numbers<T>(n, 2);
  const std::vector<float> weights = numbers<float>(n * k, 3);
  for (const errors& of : {errors{cuda_mode::fp32, 1e-6, 1e-6, 1e-6}, errors{cuda_mode::split, 1e-6, 1e-6, 0},
                           errors{cuda_mode::tf32, 1e-3, 1e-3, 1e-3}, errors{cuda_mode::bf16, 1e-2, 1e-2, 1e-2}}) {
    for (const dtype type : {dtype::f16, dtype::bf16, dtype::f32}) {
      const cuda_mode mode = of.mode;
      const double error = type == dtype::f16 ? of.f16 : type == dtype::bf16 ? of.bf16 : of.f32;
      CAPTURE(name_of(mode));
      CAPTURE(static_cast<int>(type));
      const std::vector<std::byte> bytes = stored<T>(type, weights);
      const matrix_view<T> w{bytes.data(), type, {n, k}};
      for (const bool in_three : {false, true}) {
        for (const bool together : {false, true}) {
          const emulated_cuda backend{{.mode = mode, .threads = 1, .rows_are_independent = together}};
          for (const std::size_t m : {1u, 19u}) {
            const tensor_view<const T, 2> x{values.data(), {m, k}};
            const bool wide = std::is_same_v<T, double>, few = m == 1 && !together;
            if (error == 0 && !wide && !few) {
              CHECK_THROWS_WITH_AS(device_linear<T>(backend, x, w, bias, in_three),
                                   doctest::Contains("mode split: expected weights stored as F16 or BF16, found F32"),
                                   cuda_mode_error);
              continue;
            }
            tensor<T, 2> expected{{m, n}};
            for (const bool with_bias : {false, true}) {
              cpu{1}.linear(x, w, with_bias ? bias.data() : nullptr, expected.view());
              const tensor<T, 2> found = device_linear<T>(backend, x, w, with_bias ? bias : std::vector<T>{}, in_three);
              check_close(std::span<const T>{found.data(), found.size()},
                          std::span<const T>{expected.data(), expected.size()},
                          wide  ? 1e-14
                          : few ? 1e-6
                                : error,
                          "linear");
            }
          }
        }
      }
    }
  }
}

TEST_CASE("CUDA, emulated: generation with a cache gives transformers' ids, also with weights streamed" *
          doctest::test_suite("long")) {
  const std::string name = goldens + "generate/head-dim-7";
  const token_batch prompts{read_token_lists(name + "-prompts.json")[0]};
  std::vector<token_id> ids = read_token_lists(name + "-ids.json")[0];
  ids.resize(3);
  const std::size_t memory = emulated_device::memory_limit;
  for (const std::size_t limit : {memory, std::size_t{20000}}) {
    emulated_device::memory_limit = limit;
    model<any_opt, float, emulated_cuda> opt{checkpoint{goldens + "model/head-dim-7"}, emulated_cuda{{.threads = 1}}};
    CHECK_EQ(generate(opt, prompts, {.new_tokens = 3}), token_batch{ids});
  }
  emulated_device::memory_limit = memory;
}

TEST_CASE("CUDA, emulated: a text has the same bits alone and in a batch" * doctest::test_suite("long")) {
  model<any_opt, float, emulated_cuda> opt{checkpoint{goldens + "model/head-dim-7"}, emulated_cuda{{.threads = 1}}};
  const token_batch texts{some_text(9, 50, 1), some_text(21, 50, 2)};
  typename decltype(opt)::cache_type both, one;
  const tensor<float, 2> together = opt.next_logits(texts, both), alone = opt.next_logits({texts[1]}, one);
  CHECK(std::ranges::equal(together.row(1), alone.row(0)));
}

TEST_CASE_TEMPLATE("CUDA, emulated: what only editors need is what cpu does", T, float, double) {
  using space = emulated_cuda::space;
  const std::size_t heads = 2, rows = 3, n = 7;
  const std::vector<T> before = numbers<T>(rows * heads * n, 1), x = numbers<T>(rows * n, 2), bias = numbers<T>(n, 3);
  std::vector<T> shares = before, scale{2, 3, 4};
  shares[heads * n + 1] = 9;
  emulated_cuda backend{{.threads = 1}};
  const auto given = [&]<std::size_t Rank>(const std::vector<T>& values, std::array<std::size_t, Rank> shape) {
    tensor_in<T, Rank, space> there{backend, shape};
    detail::copy_from_host<T, Rank>(backend, {values.data(), shape}, there.view());
    return there;
  };
  const auto check = [&]<std::size_t Rank>(const tensor_in<T, Rank, space>& there, const std::vector<T>& expected) {
    std::vector<T> found(expected.size());
    detail::copy_to_host<T, Rank>(backend, there.view(), tensor_view<T, Rank>{found.data(), there.shape()});
    check_close(std::span<const T>{found}, std::span<const T>{expected}, 4 * tolerance<T>, "elements");
  };
  using two = std::array<std::size_t, 2>;
  using three = std::array<std::size_t, 3>;
  cpu host{1};

  std::vector<T> square = before, sums = x, scales(rows), normed(rows * n);
  host.hide_later_keys(tensor_view<T, 3>{square.data(), {heads, rows, n}}, T{-5});
  auto on_device = given(before, three{heads, rows, n});
  backend.hide_later_keys(on_device.view(), T{-5});
  check(on_device, square);

  const three by_head{rows, heads, n};
  host.sum_heads(tensor_view<const T, 3>{shares.data(), by_head}, tensor_view<const T, 3>{before.data(), by_head},
                 bias.data(), tensor_view<T, 2>{sums.data(), {rows, n}});
  const auto a = given(shares, by_head), b = given(before, by_head);
  const auto there_bias = given(bias, two{1, n});
  auto there_sums = given(x, two{rows, n});
  backend.sum_heads(a.view(), b.view(), there_bias.view().data(), there_sums.view());
  check(there_sums, sums);

  const tensor_view<const T, 2> in{x.data(), {rows, n}};
  const auto there_x = given(x, two{rows, n}), there_scale = given(scale, two{rows, 1});
  host.norm_scale(in, tensor_view<T, 2>{scales.data(), {rows, 1}});
  auto there_scales = given(scales, two{rows, 1});
  backend.norm_scale(there_x.view(), there_scales.view());
  check(there_scales, scales);
  detail::layer_norm_by_scale<T, cpu, host_memory>(host, in, bias.data(), bias.data(),
                                                   tensor_view<const T, 2>{scale.data(), {rows, 1}},
                                                   tensor_view<T, 2>{normed.data(), {rows, n}});
  auto there_normed = given(x, two{rows, n});
  backend.layer_norm(there_x.view(), there_bias.view().data(), there_bias.view().data(), there_scale.view(),
                     there_normed.view());
  check(there_normed, normed);

  // Rows asked for come to the host, and go back when they are edited.
  const row_range middle{1, 1};
  backend.edit(there_normed.view(), std::span{&middle, 1}, [&](tensor_view<T, 2> lent) {
    CHECK(std::abs(lent(1, 2) - normed[n + 2]) <= 1e-5);
    lent(1, 2) = 70;
    lent(2, 0) = 70;  // not asked for
  });
  normed[n + 2] = 70;
  check(there_normed, normed);

  // Back through a product.
  const std::vector<T> weights = numbers<T>(5 * n, 4), y = numbers<T>(rows * 5, 5);
  std::vector<T> back(rows * n);
  host.linear_backward(tensor_view<const T, 2>{y.data(), {rows, 5}}, tensor_view<const T, 2>{weights.data(), {5, n}},
                       tensor_view<T, 2>{back.data(), {rows, n}});
  const auto there_weights = given(weights, two{5, n}), there_y = given(y, two{rows, 5});
  backend.linear_backward(there_y.view(), there_weights.view(), there_normed.view());
  check(there_normed, back);
}

namespace {
/// Adds 3 to what a head has and doubles it, on the device; there it is never shown a view of the host's memory.
struct edit_on_device {
  using sites = site_list<site::z>;
  std::size_t head;
  int on_host = 0, on_device = 0;
  template <class Site>
  void operator()(Site, const place&, tensor_view<float, 3> z) {
    ++on_host;
    for (std::size_t row = 0; row < z.rows(); ++row) {
      for (std::size_t i = 0; i < z.extent(2); ++i) z(row, head, i) = 2 * z(row, head, i) + 3;
    }
  }
  template <class Site>
  void operator()(Site, const place&, tensor_view<float, 3, emulated_cuda::space> z, emulated_cuda& backend) {
    ++on_device;
    const std::size_t width = z.extent(2);
    std::vector<std::size_t> rows(z.rows());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    std::vector<float> factor(z.cols(), 1), addend(z.cols());
    for (std::size_t i = head * width; i < (head + 1) * width; ++i) factor[i] = 2, addend[i] = 3;
    backend.scale_and_add(z.reshape<2>({z.rows(), z.cols()}), rows, factor, addend);
  }
};
}  // namespace

TEST_CASE("CUDA, emulated: shipped editors and custom ones work on the device" * doctest::test_suite("long")) {
  const checkpoint files{goldens + "model/head-dim-7"};
  model<any_opt, float, emulated_cuda> device{files, emulated_cuda{{.threads = 1}}};
  model<any_opt, float, cpu> host{files, cpu{1}};
  edit_on_device a{1}, b{1};
  typename decltype(device)::cache_type cache;
  kv_cache<float> host_cache;
  const token_batch texts{some_text(9, 50, 1)};
  const tensor<float, 2> found = device.next_logits(texts, cache, a), expected = host.next_logits(texts, host_cache, b);
  CHECK_EQ(a.on_host, 0);
  CHECK_EQ(a.on_device, b.on_host);
  check_close(found.row(0), expected.row(0), 5e-5, "logits");

  static_assert(detail::edits_rows<emulated_cuda, float, emulated_cuda::space>);
  const auto with = [&](auto& opt) {
    auto set_head = edit<site::z>(set{std::vector<double>{1, 2, 3, 4, 5, 6, 7}}, where{}.heads({1}));
    typename std::remove_reference_t<decltype(opt)>::cache_type own;
    return opt.next_logits(texts, own, set_head);
  };
  const std::size_t before = emulated_device::edits;
  const tensor<float, 2> shipped = with(device), on_host = with(host);
  CHECK_EQ(emulated_device::edits, before + device.layers());
  check_close(shipped.row(0), on_host.row(0), 5e-5, "logits");
}

TEST_CASE_TEMPLATE("CUDA, emulated: directions, moments and the largest elements on the device", T, float, double) {
  using space = emulated_cuda::space;
  const std::size_t rows = 3, n = 37;
  const std::vector<T> x = numbers<T>(rows * n, 1);
  std::vector<double> direction = numbers<double>(n, 2);
  double length = 0;
  for (const double unit : direction) length += unit * unit;
  for (double& unit : direction) unit /= std::sqrt(length);
  emulated_cuda backend{{.threads = 1}};
  tensor_in<T, 2, space> there{backend, {rows, n}}, values{backend, {rows, 2}};
  tensor_in<double, 2, space> q{backend, {1, n}}, moments{backend, {4, n}};
  tensor_in<unsigned long long, 2, space> places{backend, {rows, 2}};
  detail::copy_from_host<T, 2>(backend, {x.data(), {rows, n}}, there.view());
  detail::copy_from_host<double, 2>(backend, {direction.data(), {1, n}}, q.view());

  running_moments host;
  host.start(n);
  for (std::size_t row = 0; row < rows; ++row) host.add(std::span<const T>{x.data() + row * n, n}, 0, row);
  backend.write(moments.view(), [](tensor_view<double, 2> lent) {
    std::fill_n(lent.data(), 2 * lent.cols(), 0.0);
    std::fill_n(lent.row(2).data(), lent.cols(), std::numeric_limits<double>::infinity());
    std::fill_n(lent.row(3).data(), lent.cols(), -std::numeric_limits<double>::infinity());
  });
  backend.add_moments(std::as_const(there).view(), 0, moments.view());
  tensor<double, 2> sums{{4, n}};
  detail::copy_to_host<double, 2>(backend, std::as_const(moments).view(), sums.view());
  CHECK(std::ranges::equal(sums.row(0), host.mean()));
  CHECK(std::ranges::equal(sums.row(3), host.max()));

  backend.largest(std::as_const(there).view(), values.view(), places.view());
  tensor<T, 2> two{{rows, 2}};
  detail::copy_to_host<T, 2>(backend, std::as_const(values).view(), two.view());
  for (std::size_t row = 0; row < rows; ++row) {
    CHECK_EQ(two(row, 0), *std::max_element(x.begin() + static_cast<std::ptrdiff_t>(row * n),
                                            x.begin() + static_cast<std::ptrdiff_t>((row + 1) * n)));
    CHECK(two(row, 1) <= two(row, 0));
  }

  project_out without{direction};
  std::vector<T> expected = x, found(x.size());
  for (std::size_t row = 0; row < rows; ++row) without(std::span<T>{expected.data() + row * n, n}, {});
  backend.erase(there.view(), std::as_const(q).view(), std::as_const(q).view(), {});
  detail::copy_to_host<T, 2>(backend, std::as_const(there).view(), tensor_view<T, 2>{found.data(), {rows, n}});
  check_close(std::span<const T>{found}, std::span<const T>{expected}, tolerance<T>, "without the direction");
}

TEST_CASE("CUDA, emulated: rows that overlap are copied, and a device that is full says how much is needed") {
  emulated_cuda backend{{.threads = 1}};
  tensor_in<float, 2, emulated_cuda::space> x{backend, {6, 5}};
  const std::vector<float> values = numbers<float>(30, 1);
  detail::copy_from_host<float, 2>(backend, {values.data(), {6, 5}}, x.view());
  backend.copy(tensor_view<const float, 2, emulated_cuda::space>{x.view().slice(1, 5)}, x.view().slice(0, 5));
  tensor<float, 2> found{{6, 5}};
  detail::copy_to_host<float, 2>(backend, std::as_const(x).view(), found.view());
  CHECK(std::equal(values.begin() + 5, values.end(), found.data()));

  const std::size_t memory = emulated_device::memory_limit;
  emulated_device::memory_limit = 1000;
  CHECK_THROWS_WITH_AS(static_cast<void>(backend.allocate<double>(1000)),
                       doctest::Contains("expected 8.0 kB, found 1.0 kB"), cuda_out_of_memory);
  emulated_device::memory_limit = memory;
}

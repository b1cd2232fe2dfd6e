// SPDX-License-Identifier: MIT
// The Jacobians of blocks, layers and spans against autograd (torch.func in float64), and their structure.
#include <doctest/doctest.h>

#include <cmath>
#include <compare.hpp>
#include <concepts>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/slope.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum/layer_jacobian.hpp>
#include <random>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

using namespace optscope;

namespace {

const std::string goldens = OPTSCOPE_SOURCE_DIR "/tests/goldens/spectrum/";

std::vector<double> values_of(const tensor_table& table, const std::string& key) {
  std::vector<double> values(table.tensors.at(key).size());
  table.tensors.at(key).copy_to(values.data());
  return values;
}

/// One text of a case, and the operators at it.
struct scene {
  std::string name, text;
  tensor_table table;
  model<any_opt, double> opt;
  token_list tokens;

  explicit scene(const std::string& name_, std::size_t number = 0)
      : name{name_},
        text{std::to_string(number)},
        table{read_safetensors(goldens + name + "/golden.safetensors")},
        opt{checkpoint{goldens + name}, cpu{2}} {
    for (const double id : values_of(table, text + ".ids")) tokens.push_back(static_cast<token_id>(id));
  }

  /// Calls `check(operator, kind)` for every operator in T.
  template <class T, class Check>
  void for_each(layer_norm norm, Check&& check) {
    const auto points = linearise<T>(opt, tokens, 0, 2);
    const cpu backend = opt.backend();
    check(attention_jacobian<T>{points[1], backend, norm}, "attention");
    check(mlp_jacobian<T>{points[1], backend, norm}, "mlp");
    check(layer_jacobian<T>{points[1], backend, paths::blocks, norm}, "both");
    check(layer_jacobian<T>{points[1], backend, paths::all, norm}, "whole");
    check(span_jacobian<T>{points, backend, norm}, "span");
  }
};

const std::vector<std::pair<std::string, std::size_t>> texts{{"pre-ln", 0},  {"pre-ln", 1},      {"post-ln", 0},
                                                             {"post-ln", 1}, {"head-dim-80", 0}, {"no-bias-gelu", 0}};

std::string name_of(layer_norm norm) { return norm == layer_norm::inside ? "inside" : "outside"; }

template <class T>
tensor<T, 2> random_rows(std::size_t rows, std::size_t cols, unsigned seed) {
  std::mt19937 bits{seed};
  std::normal_distribution<double> normal;
  tensor<T, 2> result{{rows, cols}};
  for (std::size_t i = 0; i < result.size(); ++i) result.data()[i] = static_cast<T>(normal(bits));
  return result;
}

/// The matrix as the operator's products with the unit vectors give it.
template <class Op>
tensor<double, 2> by_products(Op& op) {
  using T = typename Op::scalar;
  const std::size_t n = op.cols();
  tensor<T, 2> unit{{n, n}}, columns{{n, n}};
  for (std::size_t i = 0; i < n; ++i) unit(i, i) = 1;
  op.apply(unit.view(), columns.view());
  tensor<double, 2> matrix{{n, n}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) matrix(i, j) = static_cast<double>(columns(j, i));
  }
  return matrix;
}

template <class Op>
tensor<double, 2> by_blocks(Op& op) {
  const std::size_t d = op.width(), n = op.cols();
  tensor<double, 2> matrix{{n, n}}, block{{d, d}};
  for (std::size_t t = 0; t < op.tokens(); ++t) {
    for (std::size_t u = 0; u < op.tokens(); ++u) {
      std::fill_n(block.data(), block.size(), std::nan(""));
      op.block(t, u, block.view());
      for (std::size_t i = 0; i < d; ++i) std::copy_n(block.row(i).data(), d, matrix.row(t * d + i).data() + u * d);
    }
  }
  return matrix;
}

std::span<const double> all(const tensor<double, 2>& m) { return {m.data(), m.size()}; }

}  // namespace

TEST_CASE("rows of every Jacobian agree with autograd to 1e-10, in double, and to rounding in float") {
  for (const auto& [name, number] : texts) {
    scene s{name, number};
    const std::vector<double> rows = values_of(s.table, s.text + ".rows");
    for (const layer_norm norm : {layer_norm::inside, layer_norm::outside}) {
      const auto check = [&](auto op, const std::string& kind) {
        const std::string what = s.name + " text " + s.text + " " + kind + " " + name_of(norm);
        const std::vector<double> expected = values_of(s.table, s.text + "." + kind + "." + name_of(norm));
        const auto pick = [&](const tensor<double, 2>& matrix) {
          std::vector<double> found;
          for (const double row : rows) {
            const auto values = matrix.row(static_cast<std::size_t>(row));
            found.insert(found.end(), values.begin(), values.end());
          }
          return found;
        };
        const bool exact = std::same_as<typename decltype(op)::scalar, double>;
        check_close<double, double>(pick(by_products(op)), expected, exact ? 1e-12 : 2e-5, what);
        if constexpr (block_operator<decltype(op)> && std::same_as<typename decltype(op)::scalar, double>) {
          check_close<double, double>(pick(by_blocks(op)), expected, 1e-12, what + " by blocks");
        }
      };
      s.for_each<double>(norm, check);
      s.for_each<float>(norm, check);
    }
  }
}

TEST_CASE("Jacobians of a model on the user's BLAS are those of one on cpu") {
  const std::string folder = goldens + "pre-ln";
  const token_list tokens{2, 5, 9};
  model<any_opt, double> on_cpu{checkpoint{folder}, cpu{2}};
  model<any_opt, double, cblas> on_blas{checkpoint{folder}, cblas{2}};
  const auto expected_at = linearise(on_cpu, tokens, 0, 2), found_at = linearise(on_blas, tokens, 0, 2);
  const auto check = [&](auto expected, auto found, const std::string& kind) {
    check_close<double, double>(all(by_products(found)), all(by_products(expected)), 1e-12, kind);
    if constexpr (block_operator<decltype(found)>) {
      check_close<double, double>(all(by_blocks(found)), all(by_blocks(expected)), 1e-12, kind + " by blocks");
    }
  };
  check(attention_jacobian<double>{expected_at[1], on_cpu.backend()},
        attention_jacobian<double>{found_at[1], on_blas.backend()}, "attention");
  check(mlp_jacobian<double>{expected_at[1], on_cpu.backend()}, mlp_jacobian<double>{found_at[1], on_blas.backend()},
        "mlp");
  check(span_jacobian<double>{expected_at, on_cpu.backend()}, span_jacobian<double>{found_at, on_blas.backend()},
        "span");
}

TEST_CASE("products, transposed products and blocks are of the same matrix; strides between vectors do not matter") {
  for (const auto& [name, number] : texts) {
    scene s{name, number};
    for (const layer_norm norm : {layer_norm::inside, layer_norm::outside}) {
      s.for_each<double>(norm, [&](auto op, const std::string& kind) {
        const std::string what = s.name + " " + kind + " " + name_of(norm);
        const std::size_t k = 3, size = op.cols();
        const tensor<double, 2> wide = random_rows<double>(k, size + 5, 1);
        const tensor_view<const double, 2> x{wide.data() + 2, {k, size}, size + 5};
        const tensor<double, 2> y = random_rows<double>(k, size, 2);
        tensor<double, 2> ax_wide{{k, size + 3}}, aty{{k, size}};
        const tensor_view<double, 2> ax{ax_wide.data(), {k, size}, size + 3};
        op.apply(x, ax);
        op.apply_transposed(y.view(), aty.view());

        // <y, A x> = <Aᵀ y, x> for every pair.
        for (std::size_t i = 0; i < k; ++i) {
          for (std::size_t j = 0; j < k; ++j) {
            double one = 0, other = 0, norm_of_terms = 0;
            for (std::size_t c = 0; c < size; ++c) {
              one += y(i, c) * ax(j, c);
              other += aty(i, c) * x(j, c);
              norm_of_terms += std::abs(y(i, c) * ax(j, c));
            }
            CHECK_MESSAGE(std::abs(one - other) <= 1e-13 * norm_of_terms, what);
          }
        }
        const tensor<double, 2> matrix = by_products(op);
        std::vector<double> expected(k * size), found;
        for (std::size_t j = 0; j < k; ++j) {
          for (std::size_t r = 0; r < size; ++r) {
            for (std::size_t c = 0; c < size; ++c) expected[j * size + r] += matrix(r, c) * x(j, c);
            found.push_back(ax(j, r));
          }
        }
        check_close<double, double>(found, expected, 1e-13, what + " three vectors");
        if constexpr (block_operator<decltype(op)>) check_close(all(by_blocks(op)), all(matrix), 1e-13, what);
      });
    }
  }
}

TEST_CASE("a token has no effect on earlier ones, and in an MLP on no other one: exact zeros") {
  for (const char* name : {"pre-ln", "post-ln"}) {
    scene s{name};
    s.for_each<double>(layer_norm::inside, [&](auto op, const std::string& kind) {
      const std::size_t d = op.width();
      const auto check = [&](const tensor<double, 2>& m) {
        for (std::size_t row = 0; row < m.rows(); ++row) {
          const std::size_t t = row / d;
          for (std::size_t col = 0; col < m.rows(); ++col) {
            if (col / d > t || (kind == "mlp" && col / d != t)) CHECK_MESSAGE(m(row, col) == 0, kind);
          }
        }
      };
      check(by_products(op));
      if constexpr (block_operator<decltype(op)>) check(by_blocks(op));
    });
  }
}

TEST_CASE("the all-ones direction of each token is a null vector of a block behind a LayerNorm") {
  scene s{"pre-ln"};
  s.for_each<double>(layer_norm::inside, [&](auto op, const std::string& kind) {
    if (kind != "attention" && kind != "mlp" && kind != "both") return;
    const tensor<double, 2> matrix = by_products(op);
    double largest = 0;
    for (const double value : all(matrix)) largest = std::max(largest, std::abs(value));
    for (std::size_t u = 0; u < op.tokens(); ++u) {
      tensor<double, 2> ones{{1, op.cols()}}, image{{1, op.cols()}};
      std::fill_n(ones.data() + u * op.width(), op.width(), 1.0);
      op.apply(ones.view(), image.view());
      for (std::size_t i = 0; i < op.rows(); ++i) {
        CHECK_MESSAGE(std::abs(image(0, i)) <= 1e-14 * largest * std::sqrt(static_cast<double>(op.width())), kind);
      }
    }
  });
}

TEST_CASE("behind the LayerNorm of a post-LN layer the sum over a token's normalised elements cannot change") {
  scene s{"post-ln"};
  const auto at = linearise(s.opt, s.tokens, 1)[0];
  s.for_each<double>(layer_norm::inside, [&](auto op, const std::string& kind) {
    const double* gamma = kind == "attention" ? at->weights.ln1.gamma : at->weights.ln2.gamma;
    for (std::size_t t = 0; t < op.tokens(); ++t) {
      tensor<double, 2> y{{1, op.rows()}}, x{{1, op.cols()}};
      for (std::size_t i = 0; i < op.width(); ++i) y(0, t * op.width() + i) = 1 / gamma[i];
      op.apply_transposed(y.view(), x.view());
      for (const double value : all(x)) CHECK_MESSAGE(std::abs(value) <= 1e-13, kind);
    }
  });
}

TEST_CASE("the rank of an MLP's block is at most its active neurons") {
  scene s{"pre-ln"};
  const auto at = linearise(s.opt, s.tokens, 1)[0];
  mlp_jacobian<double> op{at, s.opt.backend()};
  const std::size_t d = op.width();
  tensor<double, 2> m{{d, d}};
  for (std::size_t t = 0; t < op.tokens(); ++t) {
    std::size_t active = 0;
    for (const double slope : at->slope.row(t)) active += slope == 1;
    CHECK(op.active(t) == active);
    CHECK(active < d);  // so that the bound says something
    op.block(t, t, m.view());
    // Gaussian elimination with full pivoting: what is left after `active` steps is rounding.
    double first = 0;
    for (std::size_t step = 0; step <= active; ++step) {
      std::size_t row = step, col = step;
      for (std::size_t i = step; i < d; ++i) {
        for (std::size_t j = step; j < d; ++j) {
          if (std::abs(m(i, j)) > std::abs(m(row, col))) row = i, col = j;
        }
      }
      const double pivot = m(row, col);
      if (step == 0) first = std::abs(pivot);
      if (step == active) {
        CHECK(std::abs(pivot) <= 1e-13 * first);
        break;
      }
      for (std::size_t j = 0; j < d; ++j) std::swap(m(row, j), m(step, j));
      for (std::size_t i = 0; i < d; ++i) std::swap(m(i, col), m(i, step));
      for (std::size_t i = step + 1; i < d; ++i) {
        const double factor = m(i, step) / pivot;
        for (std::size_t j = step; j < d; ++j) m(i, j) -= factor * m(step, j);
      }
    }
  }
}

TEST_CASE("many tokens: several blocks of queries, and rows that do not divide evenly") {
  const std::string folder = OPTSCOPE_SOURCE_DIR "/tests/goldens/model/head-dim-7";
  model<any_opt, double> opt{checkpoint{folder}, cpu{3}};
  token_list tokens;
  for (int i = 0; i < 131; ++i) tokens.push_back(3 + i * 7 % 40);
  const auto points = linearise(opt, tokens, 1);
  attention_jacobian<double> op{points[0], opt.backend()};
  const std::size_t d = op.width();
  tensor<double, 2> x = random_rows<double>(2, op.cols(), 3), y{{2, op.cols()}}, block{{d, d}};
  op.apply(x.view(), y.view());
  std::vector<double> expected(y.size());
  for (std::size_t t = 0; t < op.tokens(); ++t) {
    for (std::size_t u = 0; u <= t; ++u) {
      op.block(t, u, block.view());
      for (std::size_t v = 0; v < 2; ++v) {
        for (std::size_t i = 0; i < d; ++i) {
          for (std::size_t j = 0; j < d; ++j) expected[v * op.cols() + t * d + i] += block(i, j) * x(v, u * d + j);
        }
      }
    }
  }
  check_close<double, double>({y.data(), y.size()}, expected, 1e-13, "131 tokens");

  const tensor<double, 2> other = random_rows<double>(2, op.cols(), 4);
  op.apply_transposed(other.view(), x.view());
  double one = 0, two = 0;
  const tensor<double, 2> again = random_rows<double>(2, op.cols(), 3);
  for (std::size_t i = 0; i < y.size(); ++i) {
    one += other.data()[i] * y.data()[i];
    two += x.data()[i] * again.data()[i];
  }
  CHECK(std::abs(one - two) <= 1e-12 * std::abs(one));
}

TEST_CASE("slopes of all nonlinearities agree with autograd") {
  const tensor_table table = read_safetensors(goldens + "slopes.safetensors");
  const std::vector<double> x = values_of(table, "x");
  for (const auto& [name, kind] : activation_names()) {
    std::vector<double> found;
    for (const double point : x) found.push_back(slope_of(kind, point));
    check_close<double, double>(found, values_of(table, std::string{name}), 1e-13, std::string{name});
  }
}

TEST_CASE("activations that are not finite are refused with text, layer and site") {
  const temporary_folder folder;
  std::filesystem::copy(goldens + "pre-ln", folder.path, std::filesystem::copy_options::recursive);
  std::fstream file{folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary};
  std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const std::size_t entry = bytes.find("layers.0.fc2.bias\""), offsets = bytes.find("data_offsets\":[", entry) + 15;
  REQUIRE(entry < offsets);
  file.seekp(static_cast<std::streamoff>(8 + header + std::stoull(bytes.substr(offsets))));
  file.write("\x00\x7e", 2);  // a half that is NaN
  file.close();

  model<any_opt, double> opt{checkpoint{folder.path}};
  const auto message = [&](std::size_t layer) -> std::string {
    try {
      static_cast<void>(linearise(opt, {2, 5, 9}, layer, 1, "text 7"));
    } catch (const bad_input& e) {
      return e.what();
    }
    return "";
  };
  CHECK(message(0) == "text 7, layer 0: expected finite activations, found NaN in mlp_out at position 0");
  CHECK(message(1) == "text 7, layer 1: expected finite activations, found NaN in resid_pre at position 0");
}

TEST_CASE("layers that are not there and tokens that do not fit are refused") {
  scene s{"pre-ln"};
  const auto points = [&](const token_list& tokens, std::size_t first, std::size_t count) {
    return linearise(s.opt, tokens, first, count).size();
  };
  CHECK(points(s.tokens, 0, 2) == 2);
  CHECK_THROWS_AS(points(s.tokens, 2, 1), bad_input);
  CHECK_THROWS_AS(points(s.tokens, 1, 2), bad_input);
  CHECK_THROWS_AS(points(token_list(17, 3), 0, 1), bad_input);
  CHECK_THROWS_AS(points({}, 0, 1), bad_input);
}

// SPDX-License-Identifier: MIT
// Gradients at every site against finite differences, for every nonlinearity, and on every backend that has them.
#include <doctest/doctest.h>

#include <algorithm>
#include <backend/fenced_backend.hpp>
#include <backend/plain_backend.hpp>
#include <cmath>
#include <compare.hpp>
#include <cstdint>
#include <filesystem>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace optscope;

namespace {

/// Exactly the members of `gradient_backend_for`.
class plain_gradient_backend : public plain_backend<double> {
 public:
  using plain_backend<double>::plain_backend;
  plain_gradient_backend with_threads(std::size_t threads) const { return plain_gradient_backend{threads}; }
  void linear_backward(tensor_view<const double, 2> x, matrix_view<double> stored, tensor_view<double, 2> y) {
    const tensor<double, 2> w = stored.values_copied();
    for (std::size_t i = 0; i < y.rows(); ++i) {
      for (std::size_t j = 0; j < y.cols(); ++j) {
        y(i, j) = 0;
        for (std::size_t k = 0; k < x.cols(); ++k) y(i, j) += x(i, k) * w(k, j);
      }
    }
  }
};
static_assert(gradient_backend_for<plain_gradient_backend, double>);

/// All gradients of the sum of squares of the logits, unit kind by unit kind, from the last layer to the first.
template <class Backend>
std::vector<double> gradients_on(const Backend& backend) {
  model<any_opt, double, Backend> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/tests/goldens/model/head-dim-7"}, backend};
  gradient_pass pass{opt};
  unit_gates<double> open{opt.shape()};
  std::vector<double> found;
  pass(
      {{2, 5, 11, 3}, {2, 40}}, open,
      [](std::size_t, tensor_view<double, 2> logits) {
        for (std::size_t i = 0; i < logits.rows(); ++i) {
          for (double& logit : logits.row(i)) logit *= 2;
        }
      },
      [&](unit_kind, std::size_t, tensor_view<const double, 2>, tensor_view<const double, 2> gradients) {
        for (std::size_t i = 0; i < gradients.rows(); ++i) {
          found.insert(found.end(), gradients.row(i).begin(), gradients.row(i).end());
        }
      });
  return found;
}

/// A number in [-1, 1) of a place in a site.
double direction(std::size_t text, std::size_t i, std::size_t j, std::size_t k) {
  std::uint64_t x = ((text * 1009 + i) * 1009 + j) * 1009 + k + 1;
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return static_cast<double>(x >> 11) / 4503599627370496.0 - 1;
}

/// Moves one site in one layer along the direction, by `step`.
struct nudge {
  using sites = gradient_sites;
  std::string_view name{};
  std::size_t layer = 0;
  double step = 0;

  template <class Site>
  bool wants(Site, std::size_t l) const {
    return Site::name == name && (!Site::per_layer || l == layer);
  }
  template <class Site>
  void operator()(Site, const place& at, tensor_view<double, Site::rank> x) const {
    const tensor_view<double, 3> all = detail::three_axes(x);
    const bool by_head = Site::layout == site_layout::head;
    for (std::size_t i = 0; i < all.rows(); ++i) {
      for (std::size_t j = 0; j < all.extent(1); ++j) {
        for (std::size_t k = 0; k < all.extent(2); ++k) {
          const std::size_t p = at.first_position;
          all(i, j, k) += step * direction(at.text, by_head ? i : i + p, by_head ? j + p : j, k);
        }
      }
    }
  }
};

/// The function of the logits: each times its direction, and half of its square.
template <class Model>
double function_of(Model& opt, const token_batch& texts, nudge editor) {
  basic_capture<double, site::logits> probe;
  opt.run(texts, editor, probe);
  double sum = 0;
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const auto logits = probe(site::logits{}, 0, text);
    for (std::size_t i = 0; i < logits.rows(); ++i) {
      for (std::size_t v = 0; v < logits.cols(); ++v) {
        sum += direction(text, i, v, 0) * logits(i, v) + 0.5 * logits(i, v) * logits(i, v);
      }
    }
  }
  return sum;
}
constexpr auto turn = [](std::size_t text, tensor_view<double, 2> logits) {
  for (std::size_t i = 0; i < logits.rows(); ++i) {
    for (std::size_t v = 0; v < logits.cols(); ++v) logits(i, v) += direction(text, i, v, 0);
  }
};

template <class Scalar, class... Sites>
basic_capture<Scalar, Sites...> capture_of(site_list<Sites...>, const architecture& shape) {
  std::vector<std::string> names;
  for (const site_info* site : site_list<Sites...>::infos) {
    if (site->exists_in(shape)) names.emplace_back(site->name);
  }
  basic_capture<Scalar, Sites...> probe;
  return probe.only_sites(names);
}

/// Slopes along the direction at each site and layer: by gradients, and by differences of the function.
void check_slopes(const std::string& folder, const std::vector<std::string_view>& only = {}) {
  model<any_opt, double> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/tests/goldens/model/" + folder}};
  const token_batch texts{{2, 5, 11, 3}, {2, 14}};
  auto found = capture_of<double>(gradient_sites{}, opt.shape());
  gradient_pass{opt}.run(texts, turn, found);
  gradient_sites::for_each([&]<class Site>(Site site) {
    if (!Site::exists(opt.shape()) || (!only.empty() && std::ranges::count(only, Site::name) == 0)) return;
    for (std::size_t layer = 0; layer < (Site::per_layer ? opt.layers() : 1); ++layer) {
      double slope = 0, size = 0;
      for (std::size_t text = 0; text < texts.size(); ++text) {
        const auto g = detail::three_axes(found(site, layer, text));
        for (std::size_t i = 0; i < g.rows(); ++i) {
          for (std::size_t j = 0; j < g.extent(1); ++j) {
            for (std::size_t k = 0; k < g.extent(2); ++k) {
              slope += g(i, j, k) * direction(text, i, j, k);
              size += std::abs(g(i, j, k) * direction(text, i, j, k));
            }
          }
        }
      }
      constexpr double step = 1e-5;
      const double difference =
          function_of(opt, texts, {Site::name, layer, step}) - function_of(opt, texts, {Site::name, layer, -step});
      CHECK_MESSAGE(std::abs(slope - difference / (2 * step)) <= 1e-6 * size,
                    folder << " " << Site::name << " " << layer << ": " << slope << " " << difference / (2 * step));
      CHECK(size > 0);
    }
  });
}

}  // namespace

TEST_CASE("gradients at every site are slopes of the function when the site is edited") {
  for (const std::string folder : {"pre-ln", "post-ln-projected", "pre-ln-projected", "no-affine", "no-final-norm"}) {
    check_slopes(folder);
  }
}

TEST_CASE("every nonlinearity has its gradients") {
  std::size_t models = 0;
  for (const auto& entry : std::filesystem::directory_iterator{OPTSCOPE_SOURCE_DIR "/tests/goldens/model"}) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("activation-") || name == "activation-prelu") continue;  // prelu has weights: refused
    check_slopes(name, {"resid_pre", "mlp_pre"});
    ++models;
  }
  CHECK(models >= 17);
}

TEST_CASE("gradients of a text do not depend on the other texts, nor on which layers and sites are asked for") {
  model<> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/tests/goldens/model/head-dim-7"}};
  const auto squares = [](std::size_t, tensor_view<float, 2>) {};  // of half the sum of squares: the logits
  gradient_pass gradients{opt};
  capture<site::resid_pre, site::q, site::embed> together;
  capture<site::resid_pre> alone{positions::last()};
  gradients.run({{2, 5, 11, 3}, {2, 40}}, squares, together);
  gradients.run({{2, 40}}, squares, alone.only_layers({1}));
  CHECK(std::ranges::equal(together(site::resid_pre{}, 1, 1).row(1), alone(site::resid_pre{}, 1).row(0)));
  CHECK(std::ranges::equal(together(site::resid_pre{}, 0, 1).row(0), together(site::embed{}, 0, 1).row(0)));
  CHECK_FALSE(alone.keeps(site::resid_pre{}, 0));
  const named_texts wrong{{{2, -1}}, {"wrong.txt"}};
  CHECK_THROWS_WITH_AS(gradients.run(wrong, squares, alone), "wrong.txt: expected ids below 50, found -1 at position 1",
                       bad_input);
}

TEST_CASE("gradients are the same on the library's kernels, on the user's BLAS and on plain loops") {
  const std::vector<double> expected = gradients_on(plain_gradient_backend{1});
  CHECK(!expected.empty());
  const auto check = [&](const std::vector<double>& found, const std::string& what) {
    check_close(std::span<const double>{found}, std::span<const double>{expected}, 1e-12, what);
  };
  check(gradients_on(cpu{2}), "cpu");
  check(gradients_on(cblas{2}), "cblas");
  check(gradients_on(fenced{}), "a device");
}

// SPDX-License-Identifier: MIT
// Decoder blocks other than OPT's: one frozen to a linear map, one that is no OPT, one with the concept's members
// alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <backend/fenced_backend.hpp>
#include <cmath>
#include <compare.hpp>
#include <memory>
#include <numeric>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/frozen_block.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <utility>
#include <vector>

#include "some_runs.hpp"

using namespace optscope;

namespace {

template <class Block, class T = double>
using with_block = model<any_opt, T, cpu, mapped_weights<T>, Block>;

/// Attention and MLP side by side, both of the same LayerNorm: stream += attention(ln1(stream)) + mlp(ln1(stream)).
/// Attention is written with plain loops over what the backend lends.
struct parallel_block {
  using sites = site_list<site::ln1_scale, site::ln1, site::pattern, site::attn_out, site::mlp_out>;

  template <class T, class Space>
  struct memory {
    tensor_in<T, 2, Space> normed, qkv, z, neurons, attention, mlp;
    tensor_in<T, 1, Space> square;
  };

  template <class Run>
  [[nodiscard]] auto prepare(const Run& run) const {
    const std::size_t rows = run.chunk_rows(), hidden = run.shape().hidden;
    memory<typename Run::scalar, typename Run::space> all;
    for (auto* each : {&all.normed, &all.z, &all.attention, &all.mlp}) each->resize(run.backend(), {rows, hidden});
    all.qkv.resize(run.backend(), {rows, 3 * hidden});
    all.neurons.resize(run.backend(), {rows, run.shape().ffn});
    all.square.resize(run.backend(), {run.shape().heads * run.square()});
    return all;
  }

  /// A copy for the host.
  template <class T, std::size_t Rank, class Backend>
  static tensor<T, Rank> here(Backend& backend, tensor_view<const T, Rank, typename Backend::space> from) {
    tensor<T, Rank> to{from.shape()};
    detail::copy_to_host<T, Rank>(backend, from, to.view());
    return to;
  }

  template <class Layer, class Memory>
  void operator()(Layer& at, Memory& all) const {
    using T = typename Layer::scalar;
    using in = typename Layer::template const_view<2>;
    auto& backend = at.backend();
    const auto& weights = at.weights();
    const std::size_t rows = at.rows(), hidden = at.shape().hidden, heads = at.shape().heads, width = hidden / heads;
    const auto of_chunk = [rows](auto& each) { return each.view().slice(0, rows); };
    const auto normed = of_chunk(all.normed), qkv = of_chunk(all.qkv), neurons = of_chunk(all.neurons);
    const auto linear = [&](in x, const auto& map, auto y) { backend.linear(x, map.weight, map.bias, y); };
    at.template norm<site::ln1, site::ln1_scale>(at.stream(), weights.ln1, normed);
    linear(normed, weights.qkv, qkv);
    at.for_texts([&](const text_rows& text) {
      const auto part = [&](std::size_t which) {
        return in{qkv.slice(text.row, text.rows).columns(which * hidden, hidden)};
      };
      const auto cached = at.with_cached(text, part(1), part(2));
      const tensor<T, 2> q = here<T, 2>(backend, part(0)), k = here<T, 2>(backend, cached.first),
                         v = here<T, 2>(backend, cached.second);
      const std::size_t keys = k.rows();
      const auto square = all.square.as(heads, text.rows, keys);
      backend.write(square, [&](tensor_view<T, 3> to) {
        for (std::size_t h = 0; h < heads; ++h) {
          for (std::size_t i = 0; i < text.rows; ++i) {
            T sum = 0;
            for (std::size_t j = 0; j < keys; ++j) {
              const T* const query = q.row(i).data() + h * width;
              const T score = std::inner_product(query, query + width, k.row(j).data() + h * width, T{0});
              to(h, i, j) = j > text.position + i ? T{0} : std::exp(score / std::sqrt(static_cast<T>(width)));
              sum += to(h, i, j);
            }
            for (std::size_t j = 0; j < keys; ++j) to(h, i, j) /= sum;
          }
        }
      });
      at.template show<site::pattern>(text, square);
      const tensor<T, 3> pattern = here<T, 3>(backend, square);
      backend.write(all.z.view().slice(text.row, text.rows), [&](tensor_view<T, 2> z) {
        for (std::size_t i = 0; i < text.rows; ++i) {
          for (std::size_t d = 0; d < hidden; ++d) {
            T sum = 0;
            for (std::size_t j = 0; j < keys; ++j) sum += pattern(d / width, i, j) * v(j, d);
            z(i, d) = sum;
          }
        }
      });
    });
    linear(of_chunk(all.z), weights.out, of_chunk(all.attention));
    linear(normed, weights.fc1, neurons);
    backend.activate(at.shape().nonlinearity, neurons);
    linear(neurons, weights.fc2, of_chunk(all.mlp));
    at.template offer<site::attn_out>(of_chunk(all.attention));
    at.template offer<site::mlp_out>(of_chunk(all.mlp));
    backend.add(in{of_chunk(all.attention)}, at.stream());
    backend.add(in{of_chunk(all.mlp)}, at.stream());
  }
};

/// A site of the user's own, which OPT does not have.
struct doubled : site::description<doubled> {
  static constexpr site_info info{.name = "doubled",
                                  .stage = site_stage::layer,
                                  .axes = {axis::position, axis::hidden},
                                  .about = "Twice the stream."};
};

/// The members of the concept and nothing else; it cannot be copied.
struct doubling_block {
  using sites = site_list<doubled>;
  doubling_block() = default;
  doubling_block(doubling_block&&) = default;
  template <class Run>
  int prepare(const Run&) {
    return ++runs;
  }
  template <class Layer>
  void operator()(Layer& at, int&) {
    for (std::size_t row = 0; row < at.rows(); ++row) {
      for (auto& value : at.stream().row(row)) value *= 2;
    }
    at.template offer<doubled>(at.stream());
  }
  int runs = 0;
};

static_assert(block_for<decoder_block, float, cpu> && block_for<frozen_block<double>, double, cpu>);
static_assert(block_for<parallel_block, float, cpu> && block_for<parallel_block, float, fenced> &&
              block_for<doubling_block, float, cpu>);
static_assert(!block_for<int, float, cpu>);

/// The largest |a - b| over the largest |b|.
double difference(tensor_view<const double, 2> a, tensor_view<const double, 2> b) {
  REQUIRE_EQ(a.shape(), b.shape());
  double worst = 0, largest = 0;
  for (std::size_t row = 0; row < a.rows(); ++row) {
    for (std::size_t i = 0; i < a.cols(); ++i) {
      worst = std::max(worst, std::abs(a(row, i) - b(row, i)));
      largest = std::max(largest, std::abs(b(row, i)));
    }
  }
  return worst / largest;
}

/// a + factor b.
tensor<double, 2> combined(tensor_view<const double, 2> a, double factor, tensor_view<const double, 2> b) {
  tensor<double, 2> sum{a.shape()};
  for (std::size_t row = 0; row < a.rows(); ++row) {
    for (std::size_t i = 0; i < a.cols(); ++i) sum(row, i) = a(row, i) + factor * b(row, i);
  }
  return sum;
}

const std::vector<std::string> frozen_models{"pre-ln",       "post-ln",   "head-dim-7",         "no-bias",
                                             "no-bias-gelu", "no-affine", "activation-sigmoid", "activation-silu"};

/// The stream after the last layer: (position of every text, hidden).
template <class Model>
tensor<double, 2> image(Model& opt, tensor_view<const double, 2> stream, const token_batch& texts) {
  basic_capture<double, site::resid_post> after;
  opt.run_from(0, stream, texts, after);
  return combined(after(site::resid_post{}, opt.layers() - 1), 0, stream);
}

}  // namespace

TEST_CASE("a frozen block gives the activations of the run that it was frozen from") {
  for (const std::string& name : frozen_models) {
    CAPTURE(name);
    const checkpoint files{folder_of(name)};
    model<any_opt, double> opt{files};
    const token_batch texts{some_text(4, opt.shape().vocabulary, 1), some_text(3, opt.shape().vocabulary, 9)};
    const auto record = std::make_shared<frozen_activations<double>>();
    using capture_type = basic_capture<double, site::attn_out, site::mlp_post, site::result, site::resid_post>;
    capture_type whole, frozen;
    opt.run(texts, *record, whole);
    with_block<frozen_block<double>> linear{files, cpu{2}, {.from = record}};
    linear.run(texts, frozen);
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      CHECK(difference(frozen(site::attn_out{}, layer), whole(site::attn_out{}, layer)) < 1e-13);
      CHECK(difference(frozen(site::mlp_post{}, layer), whole(site::mlp_post{}, layer)) < 1e-13);
      CHECK(difference(frozen(site::resid_post{}, layer), whole(site::resid_post{}, layer)) < 1e-13);
    }
    // The last positions alone, so that others are skipped in the last layer.
    basic_capture<double, site::resid_post> last{positions::last()}, last_frozen{positions::last()};
    opt.run(texts, last.only_layers({opt.layers() - 1}));
    linear.run(texts, last_frozen.only_layers({opt.layers() - 1}));
    CHECK(difference(last_frozen(site::resid_post{}, opt.layers() - 1), last(site::resid_post{}, opt.layers() - 1)) <
          1e-13);
  }
}

TEST_CASE("in a frozen model the contributions of embeddings, of biases and of any other stream add up exactly") {
  for (const std::string& name : frozen_models) {
    CAPTURE(name);
    const checkpoint files{folder_of(name)};
    model<any_opt, double> opt{files};
    const token_batch texts{some_text(4, opt.shape().vocabulary, 1), some_text(3, opt.shape().vocabulary, 9)};
    const auto record = std::make_shared<frozen_activations<double>>();
    basic_capture<double, site::embed, site::pos_embed, site::resid_pre, site::resid_post> whole;
    opt.run(texts, *record, whole);
    with_block<frozen_block<double>> affine{files, cpu{2}, {.from = record}};
    with_block<frozen_block<double>> linear{files, cpu{2}, {.from = record, .constants = false}};

    const auto embed = whole(site::embed{}, 0), positions = whole(site::pos_embed{}, 0);
    const tensor<double, 2> nothing{embed.shape()};
    // The stream after the last layer: from the embeddings, and from the constants alone.
    const tensor<double, 2> of_embed = image(linear, embed, texts), of_positions = image(linear, positions, texts);
    const tensor<double, 2> of_constants = image(affine, nothing, texts);
    const tensor<double, 2> sum = combined(combined(of_embed, 1, of_positions), 1, of_constants);
    CHECK(difference(sum, whole(site::resid_post{}, opt.layers() - 1)) < 1e-12);
    CHECK(difference(image(linear, nothing, texts), of_embed) == 1);  // zero stays zero

    // Any other stream, and any factor.
    tensor<double, 2> other{embed.shape()};
    for (std::size_t i = 0; i < other.size(); ++i) other.data()[i] = std::sin(static_cast<double>(i * i));
    const tensor<double, 2> together = image(linear, combined(embed, -3.5, other), texts);
    CHECK(difference(together, combined(of_embed, -3.5, image(linear, other, texts))) < 1e-12);
    // The model that is not frozen is not linear.
    CHECK(difference(image(opt, combined(embed, -3.5, other), texts),
                     combined(image(opt, embed, texts), -3.5, image(opt, other, texts))) > 1e-3);
  }
}

TEST_CASE("a frozen block refuses other texts, a cache, and records of parts of texts") {
  const checkpoint files{folder_of("pre-ln")};
  model<any_opt, double> opt{files};
  const auto record = std::make_shared<frozen_activations<double>>();
  opt.run({{2, 5, 7}, {2}}, *record);
  with_block<frozen_block<double>> linear{files, cpu{1}, {.from = record}};
  basic_capture<double, site::resid_post> probe;
  const auto message = [](auto&& action) {
    try {
      action();
    } catch (const bad_input& e) {
      return std::string{e.what()};
    }
    return std::string{"nothing thrown"};
  };
  linear.run({{2, 6, 8}, {3}}, probe);
  CHECK_EQ(message([&] {
             linear.run({{2, 5}, {2}}, probe);
           }),
           "frozen block: expected the recorded run: 2 texts of 3, 1 tokens, 2 layers, found 2 texts of 2, 1 tokens, 2 "
           "layers");
  kv_cache<double> cache;
  opt.run({{2}, {2}}, cache);
  CHECK_EQ(message([&] {
             opt.run({{5}, {7}}, cache, *record);
           }),
           "frozen activations: expected a run over whole texts from layer 0 on, found one after cached tokens");
  linear.block().from = nullptr;
  CHECK_EQ(message([&] { linear.run({{2}}, probe); }),
           "frozen block: expected activations of an earlier run, found none");
}

TEST_CASE("a block that is not OPT's, attention and MLP in parallel, works in any batch, with and without a cache") {
  model<any_opt, double> opt{checkpoint{folder_of("head-dim-7")}};
  with_block<parallel_block> parallel{checkpoint{folder_of("head-dim-7")}};
  const token_batch texts{some_text(20, 50, 1), some_text(7, 50, 9)};
  using capture_type = basic_capture<double, site::resid_pre, site::attn_out, site::mlp_out, site::resid_post>;
  capture_type of_opt, both, alone, cached;
  parallel.run(texts, both);
  parallel.run({texts[1]}, alone);
  kv_cache<double> cache;
  parallel.run({{texts[0].begin(), texts[0].begin() + 12}}, cache);
  parallel.run({{texts[0].begin() + 12, texts[0].end()}}, cache, cached);
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    const tensor<double, 2> added = combined(both(site::attn_out{}, layer), 1, both(site::mlp_out{}, layer));
    CHECK(difference(combined(both(site::resid_pre{}, layer), 1, added), both(site::resid_post{}, layer)) < 1e-15);
    const auto second = both(site::resid_post{}, layer, 1), first = both(site::resid_post{}, layer, 0);
    CHECK(difference(alone(site::resid_post{}, layer, 0), second) == 0);
    CHECK(difference(cached(site::resid_post{}, layer, 0), first.slice(12, 8)) < 1e-14);
  }
  // In a device's memory it is the same.
  model<any_opt, double, fenced, mapped_weights<double>, parallel_block> there{checkpoint{folder_of("head-dim-7")}};
  capture_type on_device;
  there.run(texts, on_device);
  CHECK(difference(on_device(site::resid_post{}, opt.layers() - 1), both(site::resid_post{}, opt.layers() - 1)) == 0);
  // Up to the first attention the two are one model.
  opt.run(texts, of_opt);
  CHECK(difference(both(site::attn_out{}, 0), of_opt(site::attn_out{}, 0)) < 1e-13);
  CHECK(difference(both(site::mlp_out{}, 0), of_opt(site::mlp_out{}, 0)) > 1e-3);
  // Its cache continues a text in the same way, in a model that is not OPT.
  CHECK_EQ(parallel.next_logits({{2, 3}}, cache = {}).extent(1), 50u);
}

TEST_CASE("a block with only the members of the concept offers a custom site, and keeps its state") {
  with_block<doubling_block, float> opt{checkpoint{folder_of("pre-ln")}};
  capture<site::resid_pre, site::resid_post, doubled> probe;
  opt.run({{2, 3, 4}}, probe);
  const auto before = probe(site::resid_pre{}, 1), after = probe(doubled{}, 1);
  for (std::size_t row = 0; row < 3; ++row) {
    for (std::size_t i = 0; i < before.cols(); ++i) {
      CHECK_EQ(after(row, i), 2 * before(row, i));
      CHECK_EQ(probe(site::resid_post{}, 1)(row, i), after(row, i));
    }
  }
  opt.run({{2}}, probe);
  CHECK_EQ(opt.block().runs, 2);
}

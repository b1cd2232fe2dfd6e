// SPDX-License-Identifier: MIT
// A weight policy that shares no code with the shipped ones: it keeps every matrix in eight bits.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/int8_weights.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <vector>

#include "some_runs.hpp"

using namespace optscope;

namespace {

/// A row of eight-bit integers and the factor that makes values of them; a vector is a matrix of one row.
class eight_bit_matrix {
 public:
  eight_bit_matrix() = default;
  explicit eight_bit_matrix(const stored_tensor& from)
      : width_{from.shape().size() == 2 ? from.shape()[1] : from.size()}, values_(from.size()) {
    std::vector<float> exact(from.size());
    from.copy_to(exact.data());
    for (std::size_t begin = 0; begin < exact.size(); begin += width_) {
      float largest = 1e-30f;
      for (std::size_t i = 0; i < width_; ++i) largest = std::max(largest, std::abs(exact[begin + i]));
      factors_.push_back(largest / 127);
      for (std::size_t i = 0; i < width_; ++i) {
        values_[begin + i] = static_cast<std::int8_t>(std::lround(exact[begin + i] / factors_.back()));
      }
    }
  }
  [[nodiscard]] std::size_t rows() const { return factors_.size(); }
  [[nodiscard]] std::size_t width() const { return width_; }
  void row(std::size_t number, float* to) const {
    for (std::size_t i = 0; i < width_; ++i)
      to[i] = factors_[number] * static_cast<float>(values_[number * width_ + i]);
  }
  [[nodiscard]] std::vector<float> all() const {
    std::vector<float> result(values_.size());
    for (std::size_t r = 0; r < rows(); ++r) row(r, result.data() + r * width_);
    return result;
  }

 private:
  std::size_t width_ = 0;
  std::vector<std::int8_t> values_;
  std::vector<float> factors_;  // [row]
};

/// The members of the concept and nothing else.
class eight_bit_weights {
 public:
  eight_bit_weights(const checkpoint& files, const architecture& shape, thread_pool&) : shape_{shape} {
    for (const std::string& name : files.names()) tensors_.emplace(name, eight_bit_matrix{files.at(name)});
  }

  layer_weights<float> layer(std::size_t index, std::size_t, thread_pool&) {
    const std::string prefix = "decoder.layers." + std::to_string(index) + ".";
    std::size_t next = 0;
    const auto read = [&](std::initializer_list<const char*> names) -> const float* {
      std::vector<float>& memory = layer_.at(next++);
      memory.clear();
      for (const char* name : names) {
        const auto found = tensors_.find(prefix + name);
        if (found == tensors_.end()) return nullptr;
        const std::vector<float> part = found->second.all();
        memory.insert(memory.end(), part.begin(), part.end());
      }
      return memory.data();
    };
    const std::size_t h = shape_.hidden, f = shape_.ffn;
    layer_weights<float> result;
    result.ln1 = {.gamma = read({"self_attn_layer_norm.weight"}), .beta = read({"self_attn_layer_norm.bias"})};
    result.ln2 = {.gamma = read({"final_layer_norm.weight"}), .beta = read({"final_layer_norm.bias"})};
    result.qkv = {
        .weight = {read({"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}), {3 * h, h}},
        .bias = read({"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"})};
    result.out = {.weight = {read({"self_attn.out_proj.weight"}), {h, h}}, .bias = read({"self_attn.out_proj.bias"})};
    result.fc1 = {.weight = {read({"fc1.weight"}), {f, h}}, .bias = read({"fc1.bias"})};
    result.fc2 = {.weight = {read({"fc2.weight"}), {h, f}}, .bias = read({"fc2.bias"})};
    return result;
  }
  void token_embedding(std::span<const token_id> ids, tensor_view<float, 2> rows) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      tensors_.at("decoder.embed_tokens.weight").row(static_cast<std::size_t>(ids[i]), rows.row(i).data());
    }
  }
  void position_embedding(std::size_t first, tensor_view<float, 2> rows) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      tensors_.at("decoder.embed_positions.weight").row(first + i + 2, rows.row(i).data());
    }
  }
  outer_weights<float> outer() {
    outer_weights<float> result;
    const auto matrix = [&](const char* name, std::size_t number) -> tensor_view<const float, 2> {
      const auto found = tensors_.find(name);
      if (found == tensors_.end()) return {};
      outer_[number] = found->second.all();
      return {outer_[number].data(), {found->second.rows(), found->second.width()}};
    };
    result.project_in = matrix("decoder.project_in.weight", 0);
    result.project_out = matrix("decoder.project_out.weight", 1);
    result.final_norm = {.gamma = matrix("decoder.final_layer_norm.weight", 2).data(),
                         .beta = matrix("decoder.final_layer_norm.bias", 3).data()};
    return result;
  }
  matrix_view<float> unembedding() {
    const auto head = tensors_.find("lm_head.weight");
    const eight_bit_matrix& table = head != tensors_.end() ? head->second : tensors_.at("decoder.embed_tokens.weight");
    unembedding_ = table.all();
    return {unembedding_.data(), {table.rows(), table.width()}};
  }

 private:
  architecture shape_;
  std::map<std::string, eight_bit_matrix> tensors_;
  std::array<std::vector<float>, 12> layer_;
  std::array<std::vector<float>, 4> outer_;
  std::vector<float> unembedding_;
};

static_assert(weight_policy<eight_bit_weights, float> && !weight_policy<eight_bit_weights, double>);
static_assert(weight_policy<pruned_weights<float, eight_bit_weights>, float>);

template <class Weights>
using with_weights = model<any_opt, float, cpu, Weights>;

double largest_difference(const tensor<float, 2>& a, const tensor<float, 2>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  }
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("a model in eight bits is near the model: embeddings, layers, projections, unembedding come from it",
                   Weights, eight_bit_weights, int8_weights<float>) {
  for (const std::string name : {"pre-ln", "post-ln-projected", "pre-ln-wide-embedding", "no-bias", "untied"}) {
    CAPTURE(name);
    const checkpoint files{folder_of(name)};
    with_weights<mapped_weights<float>> exact{files};
    with_weights<Weights> rounded{files};
    capture<site::embed, site::pos_embed, site::resid_post, site::logits> of_exact, of_rounded;
    const token_batch texts{{2, 7, 9, 11}, {2, 5}};
    exact.run(texts, of_exact);
    rounded.run(texts, of_rounded);
    const auto compare = [&]<class Site>(Site site, std::size_t layer) {
      const auto a = of_rounded(site, layer), b = of_exact(site, layer);
      double worst = 0, largest = 0;
      for (std::size_t row = 0; row < b.rows(); ++row) {
        for (std::size_t i = 0; i < b.cols(); ++i) {
          worst = std::max(worst, std::abs(static_cast<double>(a(row, i) - b(row, i))));
          largest = std::max(largest, std::abs(static_cast<double>(b(row, i))));
        }
      }
      CAPTURE(Site::name);
      CHECK(worst < 0.1 * largest);
      const bool exact_here = Site::stage == site_stage::embedding && std::is_same_v<Weights, int8_weights<float>>;
      CHECK((worst == 0) == exact_here);  // and elsewhere not the same weights
    };
    compare(site::embed{}, 0);
    compare(site::pos_embed{}, 0);
    compare(site::resid_post{}, exact.layers() - 1);
    compare(site::logits{}, 0);
    kv_cache<float> cache;
    const tensor<float, 2> next = rounded.next_logits(texts, cache);  // the same rows of the unembedding, in one piece
    for (std::size_t id = 0; id < next.extent(1); ++id) {
      CHECK_EQ(next(1, id), of_rounded(site::logits{}, 0, 1)(1, id));
    }
  }
}

TEST_CASE("removal works on any weights: as they are stored, in eight bits") {
  const checkpoint files{folder_of("pre-ln")};
  const std::string constants = "with constants";
  removal what;
  what.layers.resize(2);
  what.layers[0].neurons = {0, 3, 31};
  what.layers[0].neuron_values = {0.5f, -1, 2};
  what.layers[1].heads = {1};
  const token_batch texts{{2, 7, 9, 11}};
  const auto logits = [&]<class Weights>(with_weights<pruned_weights<float, Weights>>&& opt, bool removed) {
    if (removed) opt.weights().remove(what, opt.backend().pool());
    kv_cache<float> cache;
    return opt.next_logits(texts, cache);
  };
  using mapped = mapped_weights<float>;
  const tensor<float, 2> expected = logits.operator()<mapped>(with_weights<pruned_weights<float>>{files}, true);
  CHECK(largest_difference(logits.operator()<mapped>(with_weights<pruned_weights<float>>{files}, false), expected) >
        1e-3);
  using eight_bit = pruned_weights<float, eight_bit_weights>;
  const tensor<float, 2> rounded = logits.operator()<eight_bit_weights>(with_weights<eight_bit>{files}, true);
  const tensor<float, 2> rounded_whole = logits.operator()<eight_bit_weights>(with_weights<eight_bit>{files}, false);
  const double removal_effect = largest_difference(rounded_whole, rounded);
  CHECK(removal_effect > 1e-3);
  CHECK(largest_difference(rounded, expected) < removal_effect);
  using int8 = int8_weights<float>;
  using cut_int8 = with_weights<pruned_weights<float, int8>>;
  CHECK(largest_difference(logits.operator()<int8>(cut_int8{files}, true), expected) < removal_effect);
}

TEST_CASE("copy_layer gives the same layer in another scalar, and refers to its own memory") {
  const checkpoint files{folder_of("no-bias")};
  const architecture shape = architecture_of(files.configuration(), "config.json");
  thread_pool pool{1};
  mapped_weights<double> weights{files, shape, pool};
  const layer_weights<double> from = weights.layer(1, 2, pool);
  std::vector<float> buffer;
  const layer_values<float> to = copy_layer(from, buffer);
  CHECK(to.fc2.bias == nullptr);
  CHECK_EQ(to.qkv.weight.shape(), from.qkv.weight.shape());
  std::vector<double> row(from.fc2.weight.cols());
  from.fc2.weight.copy_rows(3, 1, row.data());
  CHECK_EQ(to.fc2.weight(3, 5), static_cast<float>(row[5]));
  CHECK_EQ(to.ln2.beta[7], static_cast<float>(from.ln2.beta[7]));
  CHECK(to.qkv.weight.data() >= buffer.data());
  CHECK(to.fc2.weight.data() + to.fc2.weight.size() <= buffer.data() + buffer.size());
}

// SPDX-License-Identifier: MIT
// What heads attend to is what torch's hooks give: tests/goldens/heads/make_heads_goldens.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/units/attention_behaviour.hpp>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "compare.hpp"
#include "places.hpp"

using namespace optscope;

namespace {

const token_batch texts{
    {2, 5, 17, 30, 5, 17, 5, 5, 9, 17, 30}, {2, 7, 8, 9}, {2, 40, 3, 40, 3, 40, 3, 2, 40}};  // [1]: no token twice

std::vector<double> golden(const std::string& model, const std::string& name) {
  const tensor_table table = read_safetensors(goldens + "heads/" + model + ".safetensors");
  const stored_tensor& stored = table.tensors.at(name);
  std::vector<double> values(stored.size());
  stored.copy_to(values.data());
  return values;
}

/// With -1 in place of NaN, which is equal to nothing.
std::vector<double> comparable(std::vector<double> values) {
  for (double& value : values) value = std::isnan(value) ? -1 : value;
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE(
    "attention of every head to the first, previous and same token, and its z, are those of torch's hooks", T, float,
    double) {
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : 1e-5;
  for (const std::string name : {"head-dim-7", "post-ln-projected"}) {
    CAPTURE(name);
    model<any_opt, T> opt{checkpoint{model_goldens + name}};
    attention_behaviour heads{texts};
    basic_capture<T, site::z> z{positions::strided(1, 1, 3)};
    opt.run(texts, heads, z);
    std::vector<double> found, uniform;
    for (std::size_t m = 0; m < attention_measures.size(); ++m) {
      const auto which = static_cast<attention_measure>(m);
      for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
        for (std::size_t head = 0; head < opt.shape().heads; ++head) {
          for (std::size_t text = 0; text < texts.size(); ++text) found.push_back(heads(which, layer, head, text));
        }
      }
      for (std::size_t text = 0; text < texts.size(); ++text) uniform.push_back(heads.uniform(which, text));
    }
    check_close<double, double>(comparable(found), comparable(golden(name, "attention")), tolerance, "attention");
    check_close<double, double>(comparable(uniform), comparable(golden(name, "uniform")), 1e-12, "uniform");
    std::vector<double> cosines;
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      for (std::size_t head = 0; head < opt.shape().heads; ++head) {
        const auto matrix = similarity<cosine>(head_of(z(site::z{}, layer), head));
        cosines.insert(cosines.end(), matrix.data(), matrix.data() + matrix.size());
      }
    }
    check_close<double, double>(cosines, golden(name, "cosine"), std::max(tolerance, 1e-7), "cosines of z");
  }
}

TEST_CASE("a layer that is left out is NaN, texts of one token too, and other texts than those given are refused") {
  model<> opt{checkpoint{model_goldens + "head-dim-7"}};
  const token_batch with_short{{2, 5, 17}, {2}};
  attention_behaviour heads{with_short};
  heads.only_layers({1});
  opt.run(with_short, heads);
  CHECK(std::isnan(heads(attention_measure::first, 0, 0, 0)));
  CHECK(heads(attention_measure::first, 1, 0, 0) > 0);
  CHECK(std::isnan(heads(attention_measure::first, 1, 0, 1)));
  CHECK(std::isnan(heads.uniform(attention_measure::entropy, 1)));
  CHECK_THROWS_AS(opt.run({{2, 5, 17}}, heads), bad_input);
  CHECK_THROWS_AS(opt.run({{2, 5, 17}, {2, 5}}, heads), bad_input);
}

TEST_CASE("repeated random tokens: different ones, twice; as many as the vocabulary allows") {
  for (const token_list& text : repeated_random_tokens(3, 20, 30, 2, 1)) {
    REQUIRE_EQ(text.size(), 41);
    CHECK_EQ(text[0], 2);
    CHECK_EQ(token_list(text.begin() + 1, text.begin() + 21), token_list(text.begin() + 21, text.end()));
    CHECK_EQ(std::set<token_id>(text.begin(), text.end()).size(), 21);
  }
  CHECK_EQ(repeated_random_tokens(1, 20, 5, 2, 1)[0].size(), 9);
  CHECK(repeated_random_tokens(2, 20, 5000, 2, 1)[0] != repeated_random_tokens(2, 20, 5000, 2, 1)[1]);
  CHECK_EQ(repeated_random_tokens(2, 20, 5000, 2, 1), repeated_random_tokens(2, 20, 5000, 2, 1));
}

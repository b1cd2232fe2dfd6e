// SPDX-License-Identifier: MIT
// Choosing the next token: greedy, and drawn in the proportions of the softmax from the right set.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optscope/opt/sampling.hpp>
#include <set>
#include <utility>
#include <vector>

using namespace optscope;

namespace {

using logits = std::vector<float>;

std::span<const float> span_of(const logits& values) { return values; }

token_list draws(const sampling& how, const logits& values, std::size_t count) {
  sampler choose{how};
  token_list ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(choose(span_of(values)));
  return ids;
}

/// Pearson's statistic of draws against probabilities; -1 if something was drawn that has none.
double chi_square(const token_list& drawn, const std::map<token_id, double>& probabilities) {
  std::map<token_id, double> counts;
  for (const token_id id : drawn) ++counts[id];
  for (const auto& [id, count] : counts) {
    if (probabilities.count(id) == 0) return -1;
  }
  double sum = 0;
  for (const auto& [id, p] : probabilities) {
    const double expected = p * static_cast<double>(drawn.size());
    sum += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  return sum;
}

std::map<token_id, double> softmax(const logits& values, double temperature, const std::set<token_id>& kept) {
  std::map<token_id, double> result;
  double sum = 0;
  for (const token_id id : kept) sum += result[id] = std::exp(values[static_cast<std::size_t>(id)] / temperature);
  for (auto& [id, p] : result) p /= sum;
  return result;
}

std::string message(const logits& values, std::size_t tokens, const std::vector<bool>& banned = {}) {
  try {
    (void)greedy(span_of(values), tokens, banned);
  } catch (const bad_input& e) {
    return e.what();
  }
  return "nothing thrown";
}

const logits few_logits{0.5f, 2.0f, -1.0f, 1.5f, 0.0f, 2.0f};
const std::set<token_id> all{0, 1, 2, 3, 4, 5};

}  // namespace

TEST_CASE("greedy takes the largest logit, the lowest id among equals, and never an id that is ruled out") {
  CHECK_EQ(greedy(span_of(few_logits)), 1);
  CHECK_EQ(greedy(span_of(few_logits), 1), 0);
  CHECK_EQ(greedy(span_of(few_logits), 6, {false, true}), 5);
  CHECK_EQ(greedy(span_of(few_logits), 5, {false, true}), 3);
  CHECK_EQ(greedy(span_of(logits{-3.0f, -2.0f})), 1);
  CHECK_EQ(draws({}, few_logits, 2), token_list{1, 1});
}

TEST_CASE("logits that are not finite and sets without a token are refused") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  CHECK_EQ(message({0, nan}, 9), "logit of token 1: expected a finite number, found nan");
  CHECK_EQ(message({infinity, 0}, 9), "logit of token 0: expected a finite number, found inf");
  CHECK_EQ(message({0, nan}, 1), "nothing thrown");
  CHECK_EQ(message({0, 1}, 0), "logits: expected a token that may be chosen, found none");
  CHECK_EQ(message({0, 1}, 9, {true, true}), "logits: expected a token that may be chosen, found none");
  CHECK_THROWS_AS((sampler{{.temperature = -1}}), bad_input);
  CHECK_THROWS_AS((sampler{{.top_p = 0}}), bad_input);
  CHECK_THROWS_AS((sampler{{.top_p = 1.5}}), bad_input);
}

TEST_CASE("tokens are drawn in the proportions of the softmax") {
  // 5 degrees of freedom: above 20.5 once in a thousand; the seeds are fixed.
  for (const double temperature : {0.5, 1.0, 3.0}) {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
      const auto drawn = draws({.temperature = temperature, .seed = seed}, few_logits, 20000);
      const double statistic = chi_square(drawn, softmax(few_logits, temperature, all));
      CHECK(statistic >= 0);
      CHECK(statistic < 20.5);
    }
  }
}

TEST_CASE("top-k and top-p keep the right set, in the proportions of the softmax") {
  struct row {
    sampling how;
    std::set<token_id> kept;
  };
  // Probabilities at temperature 1: 1 and 5 have 0.332 each, 3 has 0.201, 0 has 0.074, 4 has 0.045, 2 has 0.017.
  const row rows[] = {{{.top_k = 1}, {1, 5}},  // equal ones all count, as in transformers
                      {{.top_k = 2}, {1, 5}},
                      {{.top_k = 3}, {1, 3, 5}},
                      {{.top_k = 100}, all},
                      {{.top_p = 1e-9}, {1}},
                      {{.top_p = 0.3}, {1}},
                      {{.top_p = 0.5}, {1, 5}},
                      {{.top_p = 0.67}, {1, 3, 5}},
                      {{.top_p = 0.9}, {0, 1, 3, 5}},
                      {{.top_k = 3, .top_p = 0.8}, {1, 3, 5}},  // 0.77 of what is left is not enough
                      {{.top_k = 3, .top_p = 0.7}, {1, 5}}};
  for (const row& r : rows) {
    sampling how = r.how;
    how.temperature = 1;
    CAPTURE(how.top_k);
    CAPTURE(how.top_p);
    const double statistic = chi_square(draws(how, few_logits, 20000), softmax(few_logits, 1, r.kept));
    CHECK(statistic >= 0);
    CHECK(statistic < 20.5);
    sampler choose{how};
    (void)choose(span_of(few_logits));
    std::set<token_id> kept;
    double sum = 0;
    for (const auto& [id, p] : choose.last_choice()) {
      kept.insert(id);
      sum += p;
    }
    CHECK_EQ(kept, r.kept);
    CHECK(std::abs(sum - 1) < 1e-12);
  }
}

TEST_CASE("top-p of a flat distribution with a banned token likelier than all others keeps what a full sort keeps") {
  const std::size_t count = 5000;
  logits values(count);
  for (std::size_t id = 0; id < count; ++id)
    values[id] = static_cast<float>(std::sin(static_cast<double>(7 * id * id % 4999)));
  values[17] = 200;
  std::vector<bool> banned(20);
  banned[17] = true;
  std::vector<std::pair<double, token_id>> sorted;
  double mass = 0, sum = 0;
  for (std::size_t id = 0; id < count; ++id) {
    if (id == 17) continue;
    sorted.emplace_back(-std::exp(static_cast<double>(values[id])), static_cast<token_id>(id));
    mass -= sorted.back().first;
  }
  std::sort(sorted.begin(), sorted.end());
  std::set<token_id> expected;
  for (auto each = sorted.begin(); sum < 0.9 * mass; ++each) {
    expected.insert(each->second);
    sum -= each->first;
  }
  sampler choose{{.temperature = 1, .top_p = 0.9}};
  (void)choose(span_of(values), count, banned);
  std::set<token_id> kept;
  double worst = 0;
  for (const auto& [id, p] : choose.last_choice()) {
    kept.insert(id);
    worst =
        std::max(worst, std::abs(p * sum / std::exp(static_cast<double>(values[static_cast<std::size_t>(id)])) - 1));
  }
  CHECK(expected.size() > 3000);
  CHECK((kept == expected));
  CHECK(worst < 1e-5);
}

TEST_CASE("tokens that are ruled out are never drawn") {
  sampler choose{{.temperature = 100, .seed = 4}};
  for (int i = 0; i < 2000; ++i) {
    const token_id id = choose(span_of(few_logits), 5, {true, false, true});
    CHECK((id == 1 || id == 3 || id == 4));
  }
  for (const auto& [id, p] : choose.last_choice()) CHECK((id == 1 || id == 3 || id == 4));
}

TEST_CASE("a seed always gives the same tokens, another seed different ones") {
  const auto with_seed = [](std::uint64_t seed) { return draws({.temperature = 1, .seed = seed}, few_logits, 100); };
  CHECK_EQ(with_seed(7), with_seed(7));
  CHECK(with_seed(7) != with_seed(8));
  // From the standard's mt19937_64, written down again in Python.
  CHECK_EQ(draws({.temperature = 1, .seed = 0}, few_logits, 12), token_list{1, 5, 0, 3, 3, 0, 4, 3, 5, 5, 3, 4});
}

TEST_CASE("all tokens that equal the k-th are kept, as transformers keeps them, banned ones not counted") {
  const std::vector<float> logits{1, 3, 2, 2, 0, 2, 4, -1};
  const auto kept = [&](std::size_t k, const std::vector<bool>& banned = {}) {
    sampler draw{{.temperature = 0.7, .top_k = k}};
    (void)draw(std::span<const float>{logits}, logits.size(), banned);
    token_list ids;
    for (const auto& [id, p] : draw.last_choice()) ids.push_back(id);
    return ids;
  };
  CHECK_EQ(kept(1), token_list{6});
  CHECK_EQ(kept(2), token_list{1, 6});
  for (const std::size_t k : {3, 4, 5}) CHECK_EQ(kept(k), token_list{1, 2, 3, 5, 6});
  CHECK_EQ(kept(6), token_list{0, 1, 2, 3, 5, 6});
  CHECK_EQ(kept(2, {false, true}), token_list{2, 3, 5, 6});
}

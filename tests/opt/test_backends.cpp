// SPDX-License-Identifier: MIT
// Every golden on each backend: the user's BLAS, and one in plain loops that shares no code with the library's.
#include <doctest/doctest.h>

#include <backend/plain_backend.hpp>
#include <optscope/backend/cblas.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <string>

#include "golden.hpp"
#include "some_runs.hpp"
#include "table.hpp"

using namespace optscope;

namespace {

/// Of the goldens of transformers, those whose nonlinearity `has` says yes to.
template <class Scalar, class Backend, class Has>
std::size_t compare_all(const Backend& backend, double tolerance, Has has) {
  std::size_t compared = 0;
  for (const row& each : read_table()) {
    if (!each.refused.empty()) continue;
    CAPTURE(each.name);
    const checkpoint files{goldens + each.folder};
    if (!has(architecture_of(files.configuration(), each.folder).nonlinearity)) continue;
    compare_with_transformers<Scalar>(goldens + each.folder, goldens + each.golden, tolerance, backend);
    ++compared;
  }
  compare_with_transformers<Scalar>(demo_model, goldens + "model/demo-model", tolerance, backend);
  return compared;
}

}  // namespace

TEST_CASE_TEMPLATE("on the user's BLAS every kind of checkpoint agrees with transformers at every site", Scalar, float,
                   double) {
  constexpr double tolerance = std::is_same_v<Scalar, double> ? 1e-12 : 5e-5;
  CHECK(compare_all<Scalar>(cblas{2}, tolerance, [](activation) { return true; }) > 30);
}

TEST_CASE("a backend with the members of the concept and no others runs every golden" * doctest::test_suite("long")) {
  const auto has = [](activation kind) {
    return kind == activation::relu || kind == activation::gelu || kind == activation::silu || kind == activation::tanh;
  };
  CHECK(compare_all<double>(plain_backend<double>{2}, 1e-12, has) > 10);
}

TEST_CASE("greedy ids on each backend are those of transformers' generate" * doctest::test_suite("long")) {
  const auto check = [](auto backend) {
    using Backend = decltype(backend);
    for (const char* name : {"head-dim-7", "head-dim-80", "demo-model"}) {
      CAPTURE(name);
      model<any_opt, float, Backend> opt{
          checkpoint{name == std::string{"demo-model"} ? demo_model : goldens + "model/" + name}, backend};
      const token_batch prompts = read_token_lists(goldens + "generate/" + name + "-prompts.json");
      CHECK_EQ(generate(opt, prompts, {.new_tokens = 24}),
               read_token_lists(goldens + "generate/" + name + "-ids.json"));
    }
  };
  check(cblas{2});
  check(plain_backend<float>{1});
}

TEST_CASE("on the user's BLAS the bits depend neither on the batch nor on the number of threads") {
  const token_batch texts{some_text(31, 101, 1), some_text(300, 101, 2), some_text(1, 101, 3)};
  std::vector<float> first;
  for (const std::size_t threads : {1u, 2u, 5u}) {
    model<any_opt, float, cblas> opt{checkpoint{goldens + "model/head-dim-80"}, cblas{threads}};
    const auto stream_of = [&](const token_batch& batch, std::size_t text) {
      capture<site::resid_post> probe;
      opt.run(batch, probe);
      const auto rows = probe(site::resid_post{}, 1, text);
      return std::vector<float>(rows.data(), rows.data() + rows.size());
    };
    const std::vector<float> together = stream_of(texts, 1);
    if (first.empty()) first = together;
    CHECK_EQ(together, first);
    CHECK_EQ(stream_of({texts[1]}, 0), first);
  }
}

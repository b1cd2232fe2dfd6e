// SPDX-License-Identifier: MIT
// Every kind of checkpoint of tests/goldens/table.json: saved by the real libraries, each site compared with
// transformers in float64. The README's table of what is supported is made from it.
#include <doctest/doctest.h>

#include <algorithm>
#include <generated.hpp>
#include <optscope/checkpoint/not_finite.hpp>
#include <optscope/opt/tensors.hpp>
#include <set>
#include <string>
#include <vector>

#include "golden.hpp"
#include "table.hpp"

using namespace optscope;

TEST_CASE_TEMPLATE("every kind of checkpoint agrees with transformers at every site, or is refused", Scalar, float,
                   double) {
  constexpr bool exact = std::is_same_v<Scalar, double>;
  for (const row& each : read_table()) {
    CAPTURE(each.name);
    if (each.refused.empty()) {
      const double error =
          compare_with_transformers<Scalar>(goldens + each.folder, goldens + each.golden, exact ? 1e-12 : 5e-5);
      MESSAGE(each.name << std::string{exact ? " double: " : " float: "} << error);
      continue;
    }
    std::string message = "nothing thrown";
    try {
      model<any_opt, Scalar>{checkpoint{goldens + each.folder}};
    } catch (const checkpoint_error& e) {
      message = e.what();
    }
    CHECK_MESSAGE(message.find(each.refused) != std::string::npos, message);
  }
}

TEST_CASE("only unused tensors and numbers that are not finite are reported") {
  thread_pool pool{2};
  for (const row& each : read_table()) {
    if (!each.refused.empty()) continue;
    CAPTURE(each.name);
    const checkpoint files{goldens + each.folder};
    const architecture shape = architecture_of(files.configuration(), "config.json");
    CHECK_EQ(extra_tensors(files, shape), each.extra);
    std::vector<std::string> not_finite;
    for (const auto& tensor : find_not_finite(files, pool)) not_finite.push_back(tensor.name);
    CHECK_EQ(not_finite, each.not_finite);
    for (const model_tensor& tensor : tensors_of(
             shape, layer_sizes_of(files.configuration(), shape))) {  // and all that the model reads is in the files
      const bool tied = tensor.name == "lm_head.weight" || tensor.name == "decoder.embed_tokens.weight";
      if (tied && !files.contains(tensor.name)) continue;
      CHECK_EQ(files.at(tensor.name).shape(), tensor.shape);
    }
  }
}

TEST_CASE("numbers that are not finite are counted and found") {
  thread_pool pool{2};
  const auto found = find_not_finite(checkpoint{goldens + "checkpoint/safetensors-not-finite"}, pool);
  REQUIRE_EQ(found.size(), 2);
  CHECK_EQ(found[0].name, "decoder.embed_positions.weight");
  CHECK_EQ(found[0].count, 8);
  CHECK_EQ(found[0].first, 0);
  CHECK_EQ(found[1].count, 1);
  CHECK_EQ(found[1].first, 3);
}

TEST_CASE("the table has every known activation function") {
  std::set<std::string> rows;
  for (const row& each : read_table()) {
    if (each.group == "activations") rows.insert(each.sentence);
  }
  std::set<std::string> names;
  for (const auto& entry : activation_names()) names.insert("`" + std::string{entry.first} + "`");
  CHECK_EQ(rows, names);
}

TEST_CASE("the README's table of checkpoints is the table of the test") {
  std::string text = "\n\n| | |\n|---|---|\n", group;
  for (const row& each : read_table()) {
    if (each.sentence.empty()) continue;
    if (each.group == group) {
      text += (group == "activations" ? ", " : "; ") + each.sentence;
    } else {
      text += (group.empty() ? "| " : " |\n| ") + each.group + " | " + each.sentence;
    }
    group = each.group;
  }
  check_generated("include/optscope/checkpoint/README.md", "<!-- tests/goldens/table.json -->", "\n<!-- end -->",
                  text + " |\n");
}

// SPDX-License-Identifier: MIT
// The page of all sites, made from what the types say of themselves.
#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <generated.hpp>
#include <optscope/core/site.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

std::string sites_page() {
  std::string page =
      "# Sites\n\n"
      "The places of the forward pass at which activations can be seen, in its order. Names are TransformerLens's:\n"
      "`site::ln1` in a program, `--sites ln1` of `capture`; what TransformerLens calls `ln1.hook_normalized` and\n"
      "`ln1.hook_scale` are `ln1` and `ln1_scale`. Made from [site.hpp](site.hpp) by `tests/core/test_sites.cpp`.\n\n"
      "A probe is shown one text at a time. `position` counts the tokens of it that are run, `key` those that a token "
      "can see,\n"
      "cached ones included. The sites that add to the stream sum to the last `resid_post` (in models with LayerNorm "
      "after the\n"
      "blocks, such as 350m, each of them passes the LayerNorms that follow it).\n\n"
      "| site | shape | of | adds to the stream | what it is | where LayerNorm follows the blocks |\n"
      "|---|---|---|---|---|---|\n";
  for (const site_info* site : all_sites::infos) {
    page += "| `" + std::string{site->name} + "` | (" + axes_text(*site) + ") | " +
            (site->per_layer() ? "each layer" : "the model") + " | " + (site->additive ? "yes" : "") + " | " +
            std::string{site->about} + " | " + std::string{site->post_ln} + " |\n";
  }
  return page;
}

/// A site that the library does not know.
struct gate : site::description<gate> {
  static constexpr site_info info{
      .name = "gate",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::ffn},
      .exists = [](const architecture& shape) { return shape.nonlinearity == activation::silu; },
      .about = "A gate of each neuron.",
  };
};
static_assert(gate::rank == 2 && gate::per_layer && gate::layout == site_layout::position);
static_assert(!gate::exists({}) && gate::exists({.nonlinearity = activation::silu}));
static_assert(!all_sites::contains<gate> && site_list<site::q, gate>::index<gate> == 1);

}  // namespace

TEST_CASE("the page of all sites agrees with their types") {
  check_generated("include/optscope/core/sites.md", "", "", sites_page());
}

TEST_CASE("every site that is defined is in the list, in the order of definition") {
  std::ifstream in{std::string{OPTSCOPE_SOURCE_DIR} + "/include/optscope/core/site.hpp"};
  std::vector<std::string> defined, listed;
  for (std::string line; std::getline(in, line);) {
    const std::size_t begin = line.find(" : description<");
    if (line.starts_with("struct ") && begin != std::string::npos) defined.push_back(line.substr(7, begin - 7));
  }
  for (const site_info* site : all_sites::infos) listed.emplace_back(site->name);
  CHECK_EQ(listed, defined);
}

TEST_CASE("shapes follow from the axes, also for a custom site") {
  const architecture shape{.hidden = 24, .heads = 3, .ffn = 50, .vocabulary = 99};
  using inner = std::array<std::size_t, 2>;
  CHECK_EQ(inner_shape(site::resid_post{}, shape), inner{24, 1});
  CHECK_EQ(inner_shape(site::ln2_scale{}, shape), inner{1, 1});
  CHECK_EQ(inner_shape(site::q{}, shape), inner{3, 8});
  CHECK_EQ(inner_shape(site::result{}, shape), inner{3, 24});
  CHECK_EQ(inner_shape(site::pattern{}, shape), inner{3, 1});
  CHECK_EQ(inner_shape(site::mlp_pre{}, shape), inner{50, 1});
  CHECK_EQ(inner_shape(site::logits{}, shape), inner{99, 1});
  CHECK_EQ(inner_shape(gate{}, shape), inner{50, 1});
  CHECK_EQ(axes_text(site::pattern::info), "head, position, key");
  CHECK_EQ(axes_text(site::ln1_scale::info), "position, 1");
  CHECK_EQ(name_of(gate::info, 7), "gate.7");
  CHECK_EQ(name_of(site::logits::info, 0), "logits");
}

TEST_CASE("every model has all sites but that of the final LayerNorm") {
  CHECK_EQ(common_sites::size + 2, all_sites::size);
  CHECK_FALSE(common_sites::contains<site::ln_final>);
  CHECK_FALSE(common_sites::contains<site::ln_final_scale>);
}

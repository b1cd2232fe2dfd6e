// SPDX-License-Identifier: MIT
// The page of all sites, made from what the types say of themselves.
#include <doctest/doctest.h>

#include <algorithm>
#include <generated.hpp>
#include <optscope/core/site.hpp>
#include <string>

using namespace optscope;

namespace {

std::string sites_page() {
  std::string page =
      "# Sites\n\n"
      "The places of the forward pass at which activations can be seen, in the order in which it comes by. Names are\n"
      "TransformerLens's: `site::ln1` in a program, `--sites ln1` of `capture`; what it calls `ln1.hook_normalized` "
      "and\n"
      "`ln1.hook_scale` are `ln1` and `ln1_scale`. Made from [site.hpp](site.hpp) by `tests/core/test_sites.cpp`.\n\n"
      "A probe is shown one text at a time. `position` counts its tokens that are run, `key` those that a token can "
      "see,\n"
      "cached ones included. What adds to the stream are the summands of the last `resid_post` (of models with "
      "LayerNorm\n"
      "behind the blocks, as 350m: each through the LayerNorms that follow).\n\n"
      "| site | shape | of | adds to the stream | what it is | where LayerNorm is behind the blocks |\n"
      "|---|---|---|---|---|---|\n";
  all_sites::for_each([&]<class Site>(Site) {
    page += "| `" + std::string{Site::name} + "` | (" + std::string{Site::axes} + ") | " +
            (Site::per_layer ? "each layer" : "the model") + " | " + (Site::additive ? "yes" : "") + " | " +
            std::string{Site::about} + " | " + std::string{Site::post_ln} + " |\n";
  });
  return page;
}

}  // namespace

TEST_CASE("the page of all sites says what the types say") {
  check_generated("include/optscope/core/sites.md", "", "", sites_page());
}

TEST_CASE("the axes in words are the shape") {
  const architecture shape{.hidden = 24, .heads = 3, .ffn = 50, .vocabulary = 99};
  all_sites::for_each([&]<class Site>(Site site) {
    const std::string_view axes = Site::axes;
    CHECK_EQ(static_cast<std::size_t>(std::ranges::count(axes, ',')) + 1, Site::rank);
    CHECK_EQ(axes.starts_with("head,"), Site::layout == site_layout::head);
    const auto extent = [&](std::string_view name) -> std::size_t {
      return name == "hidden"       ? shape.hidden
             : name == "head"       ? shape.heads
             : name == "head_dim"   ? shape.head_dim()
             : name == "ffn"        ? shape.ffn
             : name == "vocabulary" ? shape.vocabulary
                                    : 1;
    };
    const std::string_view inner = axes.substr(axes.find(", ") + 2), last = inner.substr(inner.rfind(' ') + 1);
    if (Site::layout == site_layout::head) {
      CHECK_EQ(inner_shape(site, shape)[0], shape.heads);
    } else if (Site::rank == 2) {
      CHECK_EQ(inner_shape(site, shape)[0], extent(last));
    } else {
      CHECK_EQ(inner_shape(site, shape)[0], extent(inner.substr(0, inner.find(','))));
      CHECK_EQ(inner_shape(site, shape)[1], extent(last));
    }
  });
}

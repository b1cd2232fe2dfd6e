// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/probe/capture.hpp>
#include <vector>

using namespace optscope;

namespace {

const architecture capture_shape{.layers = 2, .hidden = 6, .heads = 3, .ffn = 8, .embed_dim = 6, .vocabulary = 9};

/// Shows a probe made-up activations: value = 1000 layer + 100 text + 10 row + column.
template <class Site, class Probe>
void show(Probe& probe, Site site, std::size_t layer, std::size_t text, std::size_t first, std::size_t rows) {
  const auto inner = inner_shape(site, capture_shape);
  tensor<float, Site::rank> values;
  if constexpr (Site::rank == 2) {
    values = tensor<float, 2>{{rows, inner[0]}};
  } else {
    values = tensor<float, 3>{{rows, inner[0], inner[1]}};
  }
  for (std::size_t row = 0; row < rows; ++row) {
    const auto out = values.row(row);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(1000 * layer + 100 * text + 10 * (first + row) + i);
    }
  }
  probe(site, place{text, layer, first}, tensor_view<const float, Site::rank>{values});
}

}  // namespace

TEST_CASE("capture keeps the chosen positions of each text, in the order asked for") {
  capture<site::attn_out, site::z> probe{positions::these({4, 1})};
  probe.begin({capture_shape, {5, 6}});
  for (std::size_t layer = 0; layer < 2; ++layer) {
    show(probe, site::z{}, layer, 0, 0, 5);
    show(probe, site::z{}, layer, 1, 0, 6);
    show(probe, site::attn_out{}, layer, 1, 0, 6);
    show(probe, site::attn_out{}, layer, 0, 0, 5);
  }
  const auto all = probe(site::attn_out{}, 1);
  CHECK_EQ(all.shape(), std::array<std::size_t, 2>{4, 6});
  CHECK_EQ(all(0, 2), 1042.0f);
  CHECK_EQ(all(1, 2), 1012.0f);
  CHECK_EQ(all(2, 0), 1140.0f);
  const auto heads = probe(site::z{}, 0, 1);
  CHECK_EQ(heads.shape(), std::array<std::size_t, 3>{2, 3, 2});
  CHECK_EQ(heads(1, 2, 1), 115.0f);
  CHECK_EQ(probe.positions_of(1), std::vector<std::size_t>{4, 1});
}

TEST_CASE("a text that arrives in pieces is put together") {
  capture<site::logits> probe{positions::all()};
  probe.begin({capture_shape, {5}});
  show(probe, site::logits{}, 0, 0, 0, 2);
  show(probe, site::logits{}, 0, 0, 2, 3);
  const auto logits = probe(site::logits{});
  for (std::size_t row = 0; row < 5; ++row) CHECK_EQ(logits(row, 3), static_cast<float>(10 * row + 3));
}

TEST_CASE("only the layers and sites asked for are wanted, and take memory") {
  capture<site::attn_out, site::embed> probe;
  probe.only_layers({1}).only_sites({"attn_out"});
  CHECK(probe.wants(site::attn_out{}, 1));
  CHECK_FALSE(probe.wants(site::attn_out{}, 0));
  CHECK_FALSE(probe.wants(site::embed{}, 0));
  probe.begin({capture_shape, {3}});
  CHECK(probe(site::attn_out{}, 1).data() != nullptr);
}

TEST_CASE("what a capture does not have is refused by name, and layers beyond the model when a run begins") {
  capture<site::attn_out, site::embed> probe;
  const auto refusal = [](auto&& read) -> std::string {
    try {
      read();
    } catch (const bad_input& e) {
      return e.what();
    }
    return "";
  };
  const auto of = [&](std::size_t layer) {
    return refusal([&] { static_cast<void>(probe(site::attn_out{}, layer)); });
  };
  const auto of_text = [&](std::size_t layer, std::size_t text) {
    return refusal([&] { static_cast<void>(probe(site::attn_out{}, layer, text)); });
  };
  CHECK_EQ(of(0), "capture of attn_out: expected a run before it is read, found none");
  CHECK_EQ(refusal([&] { static_cast<void>(probe.positions_of(0)); }),
           "capture: expected a run before it is read, found none");
  probe.only_layers({1}).only_sites({"attn_out"});
  probe.begin({capture_shape, {3, 4}});
  CHECK_EQ(of(1), "");
  CHECK_EQ(of_text(1, 1), "");
  CHECK_EQ(of(0), "capture of attn_out: expected a layer that is kept, found 0, which only_layers() left out");
  CHECK_EQ(of_text(0, 1), of(0));
  CHECK_EQ(of(2), "capture of attn_out: expected a layer below 2, found 2");
  CHECK_EQ(of_text(1, 2), "capture of attn_out: expected a text below 2, found 2");
  CHECK_EQ(refusal([&] { static_cast<void>(probe.positions_of(2)); }), "capture: expected a text below 2, found 2");
  CHECK_EQ(refusal([&] { static_cast<void>(probe.row_of(2, 0)); }), "capture: expected a text below 2, found 2");
  CHECK_EQ(refusal([&] { static_cast<void>(probe(site::embed{})); }),
           "capture of embed: expected a site that is kept, found one that only_sites() left out");
  CHECK(probe.keeps(site::attn_out{}, 1));
  CHECK_FALSE(probe.keeps(site::attn_out{}, 0));
  CHECK_FALSE(probe.keeps(site::attn_out{}, 2));
  CHECK_FALSE(probe.keeps(site::embed{}, 0));
  probe.only_layers({1, 99});
  CHECK_EQ(refusal([&] { probe.begin({capture_shape, {3}}); }), "capture: expected layers below 2, found 99");
}

TEST_CASE("positions are resolved for each text, and one outside it is refused") {
  const run_plan plan{capture_shape, {7, 3, 11, 10, 9}};
  CHECK_EQ(positions::last().in(plan, 0), std::vector<std::size_t>{6});
  CHECK_EQ(positions::all().in(plan, 1), std::vector<std::size_t>{0, 1, 2});
  CHECK_EQ(positions::strided(4, 3, 3).in(plan, 2), std::vector<std::size_t>{4, 7, 10});
  CHECK_THROWS_AS(static_cast<void>(positions::strided(4, 3, 3).in(plan, 3)), bad_input);
  CHECK_EQ(positions{[](std::size_t n) { return std::vector{n / 2}; }}.in(plan, 4), std::vector<std::size_t>{4});
}

TEST_CASE("a capture knows the text and position of each row, and names texts in its errors as the run does") {
  capture<site::attn_out> probe{positions::these({2, 0})};
  probe.begin({.shape = capture_shape, .lengths = {3, 5, 4}, .names = {"a.txt", "b.txt", "c.txt"}});
  std::string rows;
  for (std::size_t row = 0; row < 6; ++row) {
    const captured_row from = probe.origin(row);
    rows += probe.name_of(from.text) + " " + std::to_string(from.position) + ", ";
  }
  CHECK_EQ(rows, "a.txt 2, a.txt 0, b.txt 2, b.txt 0, c.txt 2, c.txt 0, ");
  const auto refusal = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const bad_input& e) {
      return e.what();
    }
    return "nothing thrown";
  };
  CHECK_EQ(refusal([&] { static_cast<void>(probe.origin(6)); }), "capture: expected a row below 6, found 6");
  CHECK_EQ(refusal([&] {
             probe.begin({.shape = capture_shape, .lengths = {3, 2}, .names = {"a.txt", "b.txt"}});
           }),
           "b.txt: expected at least 3 tokens for position 2, found 2 tokens");
  probe.begin({capture_shape, {3, 5}});
  CHECK_EQ(probe.name_of(1), "text 1");
  CHECK_EQ(refusal([&] {
             probe.begin({capture_shape, {3, 2}});
           }),
           "text 1: expected at least 3 tokens for position 2, found 2 tokens");
}

TEST_CASE("all runs of a generation are kept, text by text, and later keys are hidden from earlier rows") {
  capture<site::mlp_out, site::pattern> probe;
  const auto pattern = [&](std::size_t text, std::size_t first, std::size_t rows) {
    tensor<float, 3> square{{3, rows, first + rows}};
    for (std::size_t i = 0; i < square.size(); ++i) square.data()[i] = static_cast<float>(first + 1);
    probe(site::pattern{}, place{text, 1, first}, tensor_view<const float, 3>{square});
  };
  probe.begin({capture_shape, {2, 3}});
  for (const std::size_t text : {0u, 1u}) {
    show(probe, site::mlp_out{}, 1, text, 0, 2 + text);
    pattern(text, 0, 2 + text);
  }
  probe.finish();
  CHECK_EQ(probe(site::mlp_out{}, 1).rows(), 5);
  probe.begin({.shape = capture_shape, .lengths = {1, 1}, .cached = {2, 3}, .continues = true});
  for (const std::size_t text : {0u, 1u}) {
    show(probe, site::mlp_out{}, 1, text, 2 + text, 1);
    pattern(text, 2 + text, 1);
  }
  probe.begin({.shape = capture_shape, .lengths = {0, 1}, .cached = {3, 4}, .continues = true});
  show(probe, site::mlp_out{}, 1, 1, 4, 1);
  pattern(1, 4, 1);
  probe.finish();
  CHECK_EQ(probe.positions_of(0), std::vector<std::size_t>{0, 1, 2});
  CHECK_EQ(probe.positions_of(1), std::vector<std::size_t>{0, 1, 2, 3, 4});
  const auto all = probe(site::mlp_out{}, 1);
  REQUIRE_EQ(all.rows(), 8);
  for (std::size_t row = 0; row < 8; ++row) {
    CHECK_EQ(all(row, 1), static_cast<float>(row < 3 ? 1001 + 10 * row : 1101 + 10 * (row - 3)));
  }
  const auto square = probe(site::pattern{}, 1, 1);
  CHECK_EQ(square.shape(), std::array<std::size_t, 3>{3, 5, 5});
  CHECK_EQ(square(2, 2, 2), 1.0f);
  CHECK_EQ(square(2, 2, 3), 0.0f);
  CHECK_EQ(square(1, 3, 3), 4.0f);
  CHECK_EQ(square(1, 3, 4), 0.0f);
  CHECK_EQ(square(0, 4, 4), 5.0f);
}

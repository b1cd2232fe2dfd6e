// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/replace.hpp>
#include <optscope/probe/running_moments.hpp>
#include <optscope/probe/where.hpp>
#include <string>
#include <vector>

#include "compare.hpp"

using namespace optscope;

namespace {

const architecture editor_shape{.layers = 3, .hidden = 6, .heads = 3, .ffn = 8, .embed_dim = 6, .vocabulary = 9};

/// What a run over texts would show of a site: 1000 layer + 100 text + 10 position + element of the row.
template <class Site>
tensor<double, Site::rank> rows_of(Site site, const run_plan& plan, std::size_t layer, std::size_t text) {
  const auto inner = inner_shape(site, editor_shape);
  tensor<double, Site::rank> values;
  if constexpr (Site::rank == 2) {
    values = tensor<double, 2>{{plan.lengths[text], inner[0]}};
  } else {
    values = tensor<double, 3>{{plan.lengths[text], inner[0], inner[1]}};
  }
  for (std::size_t row = 0; row < values.rows(); ++row) {
    for (std::size_t i = 0; i < values.row(row).size(); ++i) {
      values.row(row)[i] = static_cast<double>(1000 * layer + 100 * text + 10 * (plan.first_position(text) + row) + i);
    }
  }
  return values;
}

/// Shows the probes one site of a run and gives what is left of one layer and text.
template <class Site, class... Probes>
tensor<double, Site::rank> run(Site site, const run_plan& plan, std::size_t layer, std::size_t text,
                               Probes&... probes) {
  tensor<double, Site::rank> wanted;
  (probes.begin(plan), ...);
  for (std::size_t l = 0; l < editor_shape.layers; ++l) {
    for (std::size_t t = 0; t < plan.lengths.size(); ++t) {
      auto values = rows_of(site, plan, l, t);
      const auto show = [&](auto& probe) {
        if (wants<Site>(probe, l)) probe(site, place{t, l, plan.first_position(t)}, values.view());
      };
      (show(probes), ...);
      if (l == layer && t == text) wanted = values;
    }
  }
  return wanted;
}

template <class Action>
std::string message(Action&& action) {
  try {
    action();
  } catch (const error& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("an editor changes the chosen texts, layers, positions, heads and units, and counts its vectors") {
  const run_plan plan{editor_shape, {4, 5}};
  auto all = edit<site::z>(zero{});
  run(site::z{}, plan, 0, 0, all);
  CHECK_EQ(all.fired(), 3 * 9 * 3);
  auto some =
      edit<site::z>(zero{}, where{}.texts({1}).layers({2}).at(positions::these({4, 0})).heads({2, 0}).units({1}));
  for (const std::size_t layer : {1u, 2u}) {
    for (const std::size_t text : {0u, 1u}) {
      const auto found = run(site::z{}, plan, layer, text, some), before = rows_of(site::z{}, plan, layer, text);
      CHECK_EQ(some.fired(), 4);
      for (std::size_t i = 0; i < found.size(); ++i) {
        const std::size_t row = i / 6, head = i / 2 % 3, unit = i % 2;
        const bool edited = text == 1 && layer == 2 && (row == 0 || row == 4) && head != 1 && unit == 1;
        CHECK_EQ(found.data()[i], edited ? 0 : before.data()[i]);
      }
    }
  }
  auto masked = edit<site::mlp_post>(set{7.0}, where{}.layers({1}).mask([](const vector_place& at, std::size_t unit) {
    return at.text == 0 && (at.position + unit) % 4 == 0 && at.position != 2;
  }));
  const auto found = run(site::mlp_post{}, plan, 1, 0, masked);
  CHECK_EQ(masked.fired(), 3);
  CHECK_EQ(found(1, 3), 7);
  CHECK_EQ(found(1, 4), 1014);
  CHECK_EQ(found(2, 2), 1022);
  CHECK_EQ(masked.text(), "set at mlp_post, layers 1, by a mask");
}

TEST_CASE("after cached tokens, positions count from the first token of the text, and a piece of a text is found") {
  auto third = edit<site::mlp_out>(add{100.0}, where{}.at(positions::these({3})));
  auto last = edit<site::mlp_out>(add{10000.0}, where{}.at(positions::last()));
  const run_plan later{.shape = editor_shape, .lengths = {2, 1}, .cached = {2, 5}, .continues = true};
  const auto found = run(site::mlp_out{}, later, 0, 0, third, last);
  CHECK_EQ(found(0, 0), 20);
  CHECK_EQ(found(1, 0), 30 + 100 + 10000);
  CHECK_EQ(third.fired(), 3);
  CHECK_EQ(last.fired(), 6);
  tensor<double, 2> piece{{2, 9}};
  auto logits = edit<site::logits>(set{1.0}, where{}.at(positions::these({0, 3})));
  logits.begin({editor_shape, {6}});
  logits(site::logits{}, place{0, 0, 2}, piece.view());
  CHECK_EQ(piece(0, 0), 0);
  CHECK_EQ(piece(1, 8), 1);
  CHECK_EQ(logits.fired(), 1);
}

TEST_CASE("an editor that never fired is an error that says which, unless it may") {
  auto never = edit<site::z>(zero{}, where{}.at(positions::these({99})).heads({1}));
  run(site::z{}, {editor_shape, {4}}, 0, 0, never);
  CHECK_EQ(message([&] { never.finish(); }),
           "zero at z, heads 1, at some positions: expected something to edit, found no such place in what was run");
  CHECK_THROWS_AS(never.finish(), unfired_hook);
  never.may_not_fire().finish();
  // Over the runs of a generation it is enough to fire once; a new run counts anew.
  auto third = edit<site::z>(zero{}, where{}.at(positions::these({3})));
  run(site::z{}, {editor_shape, {4}}, 0, 0, third);
  run(site::z{}, {.shape = editor_shape, .lengths = {1}, .cached = {4}, .continues = true}, 0, 0, third);
  third.finish();
  CHECK_EQ(third.fired(), 9);
  run(site::z{}, {editor_shape, {2}}, 0, 0, third);
  CHECK_THROWS_AS(third.finish(), unfired_hook);
  auto no_head = edit<site::z>(zero{}, where{}.heads({}));
  run(site::z{}, {editor_shape, {4}}, 0, 0, no_head);
  CHECK_EQ(message([&] { no_head.finish(); }).substr(0, 21), "zero at z, heads none");
}

TEST_CASE("a choice of layers, positions or units that the run does not have is refused with a reason") {
  const run_plan plan{editor_shape, {4, 5}};
  const auto refused = [&](auto editor) { return message([&] { editor.begin(plan); }); };
  CHECK_EQ(refused(edit<site::z>(zero{}, where{}.layers({1, 3}))),
           "zero at z, layers 1 3: expected layers below 3, found 3");
  CHECK_EQ(refused(edit<site::z>(zero{}, where{}.heads({3}))), "zero at z, heads 3: expected heads below 3, found 3");
  CHECK_EQ(refused(edit<site::z>(zero{}, where{}.units({2}))), "zero at z, units 2: expected units below 2, found 2");
  CHECK_EQ(refused(edit<site::mlp_post>(zero{}, where{}.units({8}))),
           "zero at mlp_post, units 8: expected units below 8, found 8");
  CHECK_EQ(refused(edit<site::mlp_post>(zero{}, where{}.heads({0}))),
           "zero at mlp_post, heads 0: expected no heads: mlp_post has none, found heads 0");
  CHECK_EQ(refused(edit<site::logits>(zero{}, where{}.layers({0}))),
           "zero at logits, layers 0: expected no layers: logits has none, found layers 0");
  CHECK_EQ(refused(edit<site::z>(zero{}, where{}.texts({2}))), "zero at z, texts 2: expected texts below 2, found 2");
  auto wrong = edit<site::z>(set{std::vector<double>{1, 2, 3}});
  CHECK_EQ(message([&] { run(site::z{}, plan, 0, 0, wrong); }),
           "set: expected 1 value, one for each of 2 units, or one for each head and unit, found 3 values");
  auto layers = edit<site::z>(set{std::vector<std::vector<double>>{{1}, {2}}});
  CHECK_EQ(message([&] { run(site::z{}, plan, 0, 0, layers); }),
           "set: expected values for layer 2, found values for 2 layers");
}

TEST_CASE("values are given once for all, per unit, per head and unit, and by layer") {
  const run_plan plan{editor_shape, {2}};
  auto one = edit<site::z>(add{2.0, 0.5}), unit = edit<site::z>(add{std::vector<double>{1, 2}});
  auto head = edit<site::z>(scale{std::vector<double>{1, 2, 3, 4, 5, 6}});
  auto layer = edit<site::z>(set{std::vector<std::vector<double>>{{5}, {6, 7}, {8}}});
  const auto before = rows_of(site::z{}, plan, 1, 0);
  CHECK_EQ(run(site::z{}, plan, 1, 0, one)(1, 2, 1), before(1, 2, 1) + 1);
  CHECK_EQ(run(site::z{}, plan, 1, 0, unit)(1, 2, 1), before(1, 2, 1) + 2);
  CHECK_EQ(run(site::z{}, plan, 1, 0, head)(1, 2, 1), before(1, 2, 1) * 6);
  CHECK_EQ(run(site::z{}, plan, 1, 0, head)(1, 1, 0), before(1, 1, 0) * 3);
  CHECK_EQ(run(site::z{}, plan, 1, 0, layer)(1, 2, 1), 7);
  CHECK_EQ(run(site::z{}, plan, 2, 0, layer)(1, 2, 1), 8);
  CHECK_EQ(run(site::z{}, plan, 1, 0, unit, one, head)(0, 0, 0), (before(0, 0, 0) + 2) * 1);
  CHECK_EQ(run(site::z{}, plan, 1, 0, head, unit)(0, 0, 1), before(0, 0, 1) * 2 + 2);
}

TEST_CASE("values may be any span of float or double") {
  const run_plan plan{editor_shape, {1}};
  const auto added = [&](const unit_values& values, double strength) {
    auto editor = edit<site::resid_pre>(add{values, strength});
    return run(site::resid_pre{}, plan, 0, 0, editor)(0, 5);
  };
  const std::vector<float> direction{0, 0, 0, 0, 0, 0.25f};
  auto steer = edit<site::resid_pre>(add{direction, 4});  // as documented
  CHECK_EQ(run(site::resid_pre{}, plan, 0, 0, steer)(0, 5), 6);
  CHECK_EQ(added(std::vector<double>(direction.begin(), direction.end()), 4), 6);
  CHECK_EQ(added(std::span<const float>{direction}, 4), 6);
  std::array<double, 6> numbers{};
  numbers[5] = 1;
  CHECK_EQ(added(numbers, 2), 7);
  CHECK_EQ(added(std::span<double>{numbers}, 2), 7);
  tensor<float, 2> rows{{2, 6}};
  rows(1, 5) = 3;
  CHECK_EQ(added(rows.row(1), 1), 8);
  CHECK_EQ(added(std::as_const(rows).row(1), 1), 8);
  CHECK_EQ(added(2, 1), 7);
}

TEST_CASE("directions of any lengths and angles are projected out") {
  const run_plan plan{editor_shape, {2}};
  const std::vector<double> a{1, 2, 0, 0, 0, 1}, b{1, 2, 0, 0, 1e-3, 1};
  auto out = edit<site::resid_post>(project_out{std::vector{a, b}});
  const auto found = run(site::resid_post{}, plan, 0, 0, out);
  const auto along = [&](const std::vector<double>& d) {
    return std::inner_product(d.begin(), d.end(), found.row(1).begin(), 0.0);
  };
  CHECK(std::abs(along(a)) < 1e-12);
  CHECK(std::abs(along(b)) < 1e-12);
  CHECK_EQ(found(1, 2), 12);
  CHECK_THROWS_AS((project_out{std::vector{a, a}}), bad_input);
  CHECK_THROWS_AS((project_out{std::vector<double>(6, 0.0)}), bad_input);
  CHECK_THROWS_AS((project_out{std::vector{a, std::vector<double>{1, 2}}}), bad_input);
  auto narrow = edit<site::mlp_post>(project_out{a});
  CHECK_EQ(message([&] { run(site::mlp_post{}, plan, 0, 0, narrow); }),
           "project_out: expected directions of length 8, found 6");
}

TEST_CASE("erase does what concept-erasure's eraser does, and project_out of an orthonormal basis") {
  // tests/goldens/spectrum/make_pair_goldens.py: proj_left transposed, proj_right and bias of LEACE for three classes
  tensor<float, 2> left{{2, 6}}, right{{2, 6}};
  std::ranges::copy(
      std::vector<float>{0.3817950112f, 0.8207494060f, -1.0108886891f, 0.0245391192f, -0.0490782384f, 0.0082897839f,
                         1.1120104535f, -0.5479483107f, -0.1031592393f, -0.0764806699f, 0.1529613397f, 0.0072331529f},
      left.data());
  std::ranges::copy(
      std::vector<float>{0.1946774708f, 0.4888121450f, -0.5179662189f, 0.0314862869f, 0.0012590459f, 0.0197579574f,
                         0.7010492507f, -0.3588640844f, -0.0327292550f, -0.0194429044f, 0.1221837946f, 0.0323797499f},
      right.data());
  const std::vector<float> bias{0.6125f, 0.7f, 0.5f, 0.0166666667f, 0.1041666667f, 0};
  const std::vector<double> expected{4.4415096949,  12.0961609050, 14.1040584071,
                                     13.2995793017, 13.4008413966, 14.9543895910};
  const run_plan plan{editor_shape, {2}};
  auto erased = edit<site::resid_pre>(erase{left, right, bias});
  const auto found = run(site::resid_pre{}, plan, 0, 0, erased);
  check_close(found.row(1), std::span<const double>{expected}, 1e-6, "erased");
  std::vector<float> x{10, 11, 12, 13, 14, 15};
  erase{left, right, bias}(std::span<float>{x}, {});
  check_close(std::span<const float>{x}, std::span<const double>{expected}, 1e-6, "erased, float");

  tensor<float, 2> basis{{2, 6}};
  std::ranges::copy(std::vector<float>{0.6f, 0, 0, 0.8f, 0, 0, 0, 0, 1, 0, 0, 0}, basis.data());
  auto same = edit<site::resid_pre>(erase{basis, basis, std::vector<float>(6)});
  auto out =
      edit<site::resid_pre>(project_out{std::vector<std::vector<double>>{{6, 0, 0, 8, 0, 0}, {0, 0, 2, 0, 0, 0}}});
  const auto a = run(site::resid_pre{}, plan, 0, 0, same), b = run(site::resid_pre{}, plan, 0, 0, out);
  check_close(std::span<const double>{a.data(), a.size()}, std::span<const double>{b.data(), b.size()}, 1e-6, "both");

  CHECK_THROWS_AS((erase{left, basis, std::vector<float>(5)}), bad_input);
  auto narrow = edit<site::mlp_post>(erase{left, right, bias});
  CHECK_EQ(message([&] { run(site::mlp_post{}, plan, 0, 0, narrow); }),
           "erase: expected directions of length 8, found 6");
}

TEST_CASE("means and modes are those of what was recorded, layer by layer") {
  const run_plan plan{editor_shape, {3, 1}};
  basic_capture<double, site::z, site::mlp_post> recorded;
  recorded.only_layers({0, 2});
  run(site::z{}, plan, 0, 0, recorded);
  auto average = edit<site::z>(mean{recorded, site::z{}}, where{}.layers({2}));
  CHECK_EQ(run(site::z{}, plan, 2, 1, average)(0, 1, 1), 2003 + (0 + 10 + 20 + 100) / 4.0);
  auto common = edit<site::z>(mode{recorded, site::z{}}, where{}.layers({2}).heads({1}));
  CHECK_EQ(run(site::z{}, plan, 2, 1, common)(0, 1, 1), 2008);  // of 2003, 2013, 2023, 2103
  auto given = edit<site::z>(mean{std::vector<double>{3, 4}});
  CHECK_EQ(run(site::z{}, plan, 2, 1, given)(0, 1, 1), 4);
  std::vector<double> values{5, 0, 1, 0, 9, 0, 2};
  CHECK_EQ(half_sample_mode(values), 0);
  values = {1, 3, 5};
  CHECK_EQ(half_sample_mode(values), 3);
  values = {9, 3.5, 3, 1};
  CHECK_EQ(half_sample_mode(values), 3.25);
  values = {4};
  CHECK_EQ(half_sample_mode(values), 4);
  auto missing = edit<site::z>(mean{recorded, site::z{}}, where{}.layers({1}));
  CHECK_THROWS_AS(run(site::z{}, plan, 0, 0, missing), bad_input);
}

TEST_CASE("means of streamed statistics are those of a capture; layers without any are refused when they are used") {
  const run_plan plan{editor_shape, {3, 1}};
  basic_capture<double, site::z> recorded;
  running<running_moments, site::z> streamed;
  recorded.only_layers({0, 2});
  streamed.only_layers({0, 2});
  run(site::z{}, plan, 0, 0, recorded);
  streamed.begin(plan);
  for (const std::size_t layer : {0u, 2u}) {
    for (const std::size_t text : {0u, 1u}) {
      const auto rows = rows_of(site::z{}, plan, layer, text);
      streamed(site::z{}, place{text, layer, 0}, rows.view());
    }
  }
  auto kept = edit<site::z>(mean{recorded, site::z{}}, where{}.layers({2}));
  auto passed = edit<site::z>(mean{streamed, site::z{}}, where{}.layers({2}));
  const auto a = run(site::z{}, plan, 2, 1, kept), b = run(site::z{}, plan, 2, 1, passed);
  check_close(std::span<const double>{b.data(), b.size()}, std::span<const double>{a.data(), a.size()}, 1e-15, "z");
  CHECK_EQ(passed.text(), "mean at z, layers 2");
  auto missing = edit<site::z>(mean{streamed, site::z{}}, where{}.layers({1}));
  CHECK_THROWS_AS(run(site::z{}, plan, 0, 0, missing), bad_input);
}

TEST_CASE("patching takes the vectors of a text of another run; what that text lacks stays, if asked for") {
  const run_plan source{editor_shape, {3, 1}}, plan{editor_shape, {2, 3}};
  basic_capture<double, site::z, site::mlp_post> recorded;
  run(site::z{}, source, 0, 0, recorded);
  auto crossed = edit<site::z>(patch{recorded, {1, 0}}.may_lack(), where{}.layers({1}).heads({2}));
  const auto first = run(site::z{}, plan, 1, 0, crossed), before = rows_of(site::z{}, plan, 1, 0);
  CHECK_EQ(crossed.fired(), 1 + 3);
  CHECK_EQ(first(0, 2, 1), 1105);
  CHECK_EQ(first(0, 1, 1), before(0, 1, 1));
  CHECK_EQ(first(1, 2, 1), before(1, 2, 1));
  CHECK_EQ(run(site::z{}, plan, 1, 1, crossed)(2, 2, 1), 1025);

  auto other = edit<site::z>(resample{recorded, 5});  // of two texts there is one other
  CHECK_EQ(run(site::z{}, plan, 1, 0, other)(0, 2, 1), 1105);
  CHECK_EQ(run(site::z{}, plan, 1, 1, other)(2, 2, 1), 1025);
}

TEST_CASE("patching from a recording of another length, or without the text, is refused before the run") {
  basic_capture<double, site::z> recorded{positions::last()};
  run(site::z{}, run_plan{editor_shape, {3, 1}}, 0, 0, recorded);
  CHECK_EQ(recorded.tokens_of(0), 3);
  CHECK_EQ(recorded.tokens_of(1), 1);
  CHECK_THROWS_AS(static_cast<void>(recorded.tokens_of(2)), bad_input);
  const auto refused = [&](run_plan plan, std::vector<std::size_t> from, where chosen) {
    auto one = edit<site::z>(patch{recorded, from}, chosen);
    basic_edit_list<double> list;
    list.add("z", patch{recorded, from}, chosen);
    const std::string text = message([&] { one.begin(plan); });
    CHECK_EQ(message([&] { list.begin(plan); }), text);
    return text;
  };
  const std::string none = "nothing thrown";
  const run_plan same{editor_shape, {3, 1}}, other{editor_shape, {2, 3}};
  CHECK_EQ(refused(same, {}, {}), none);
  CHECK_EQ(refused(other, {}, {}), "patch at z: expected a recording with as many tokens as text 0, 2, found 3");
  CHECK_EQ(refused(other, {1, 0}, where{}.layers({1})),
           "patch at z, layers 1: expected a recording with as many tokens as text 0, 2, found 1");
  CHECK_EQ(refused(other, {1, 0}, where{}.texts({1})), none);  // the texts that are patched
  CHECK_EQ(refused(other, {}, where{}.at(positions::these({0}))), none);
  CHECK(refused(other, {1, 0}, where{}.at(positions::these({1})))
            .ends_with("expected a recording with position 1 for text 0, found 1 tokens"));
  const run_plan three{editor_shape, {3, 1, 2}, {}, 0, false, {"a", "b", "c"}};
  CHECK_EQ(refused(three, {}, {}), "patch at z: expected a recorded text for each that is patched, found none for c");
  CHECK_EQ(refused(three, {0, 1}, {}),
           "patch at z: expected a recorded text for each that is patched, found none for c");
  CHECK_EQ(refused(three, {}, where{}.texts({0, 1})), none);
  CHECK_EQ(refused({editor_shape, {2, 1}, {0, 0}}, {}, {}), none);  // with a cache the rest may follow
  CHECK_EQ(refused({editor_shape, {2, 1}, {1, 0}}, {}, {}), none);
  CHECK_NE(refused({editor_shape, {2, 1}, {2, 0}}, {}, {}), none);
  CHECK_EQ(refused({editor_shape, {1, 1}, {3, 1}, 0, true}, {}, {}), none);  // a new token of a generation
}

TEST_CASE("resampling draws every other text about equally often, the same one for all positions") {
  basic_capture<double, site::mlp_post> recorded;
  recorded.begin({editor_shape, std::vector<std::size_t>(5, 4)});
  std::vector<int> drawn(5);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const resample<basic_capture<double, site::mlp_post>> draw{recorded, seed};
    const std::size_t source = draw.source(1, 0);
    REQUIRE_EQ(draw.source(1, 3), source);
    ++drawn[source];
  }
  CHECK_EQ(drawn[1], 0);
  for (const std::size_t text : {0u, 2u, 3u, 4u}) CHECK(std::abs(drawn[text] - 1000) < 120);
  CHECK_EQ((resample<basic_capture<double, site::mlp_post>>{recorded}.source(0, 4)), static_cast<std::size_t>(-1));
}

TEST_CASE("a list of edits does what editors in the same order do, each counted and checked by itself") {
  const run_plan plan{editor_shape, {4}};
  basic_edit_list<double> edits;
  edits.add("z", add{1.0}, where{}.layers({1}).heads({0}))
      .add("mlp_post", zero{}, where{}.units({3}))
      .add("z", scale{2.0}, where{}.layers({1, 2}));
  CHECK(edits.wants(site::z{}, 1));
  CHECK_FALSE(edits.wants(site::z{}, 0));
  CHECK_FALSE(edits.wants(site::q{}, 1));
  const auto found = run(site::z{}, plan, 1, 0, edits), before = rows_of(site::z{}, plan, 1, 0);
  CHECK_EQ(found(2, 0, 1), 2 * (before(2, 0, 1) + 1));
  CHECK_EQ(found(2, 1, 1), 2 * before(2, 1, 1));
  CHECK_EQ(edits.fired(0), 4);
  CHECK_EQ(edits.fired(1), 0);
  CHECK_EQ(edits.fired(2), 24);
  CHECK_EQ(message([&] { edits.finish(); }),
           "zero at mlp_post, units 3: expected something to edit, found no such place in what was run");
  edits.may_not_fire().finish();
  CHECK_EQ(message([&] { basic_edit_list<double, site_list<site::z, site::q>>{}.add("mlp", zero{}); }),
           "edit: expected one of the sites z q, found mlp");
  basic_edit_list<double> wrong;
  wrong.add("q", zero{}, where{}.heads({7}));
  CHECK_EQ(message([&] { wrong.begin(plan); }), "zero at q, heads 7: expected heads below 3, found 7");
  basic_capture<double, site::z> recorded;
  CHECK_EQ(message([&] { wrong.add("q", patch{recorded}); }), "edit: expected a site that \"patch\" can edit, found q");
}

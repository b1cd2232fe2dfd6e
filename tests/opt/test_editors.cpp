// SPDX-License-Identifier: MIT
// What an editor changes, and that it changes nothing else; runs from a layer on.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <compare.hpp>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "some_runs.hpp"

using namespace optscope;

namespace {

using resident = model<any_opt, float, cpu, mapped_weights<float>>;
const std::vector<std::string> shapes{"head-dim-80", "head-dim-7", "no-bias-gelu", "post-ln-projected"};

/// Calls `edit(view, place)` with what it is shown of a site.
template <class Site, class Edit>
struct editor_of {
  using sites = site_list<Site>;
  Edit edit;
  std::size_t layer = static_cast<std::size_t>(-1);  // only this one
  [[nodiscard]] bool wants(Site, std::size_t at) const { return layer == static_cast<std::size_t>(-1) || at == layer; }
  template <class T>
    requires(!std::is_const_v<T>)
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    edit(view, at);
  }
};
template <class Site, class Edit>
editor_of<Site, Edit> edit_at(Site, Edit edit, std::size_t layer = static_cast<std::size_t>(-1)) {
  return {edit, layer};
}

/// Adds to the first element of position 3 of text 1.
const auto nudge = [](auto view, const place& at) {
  if (at.text != 1 || at.first_position > 3 || at.first_position + view.rows() <= 3) return;
  view.row(3 - at.first_position)[0] += 8;
};

token_batch some_texts(const architecture& shape) {
  return {some_text(40, shape.vocabulary, 1), some_text(9, shape.vocabulary, 2), some_text(1, shape.vocabulary, 3)};
}

/// Stands at the site of this name, of those that the model has.
struct editor_by_name {
  using sites = all_sites;
  std::string_view name;
  std::size_t layer = 0;
  bool nudges = false;
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t at) const {
    return Site::name == name && (!nudges || at == layer);
  }
  template <class Site, class T>
    requires(!std::is_const_v<T>)
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    if (nudges) nudge(view, at);
  }
};

struct hash_existing : hash_sites {  // of the sites that the model has
  const architecture* shape = nullptr;
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t) const {
    return Site::exists(*shape);
  }
};

}  // namespace

TEST_CASE("an editor that changes nothing changes no bit, at any site") {
  for (const std::string& name : shapes) {
    model<> opt{checkpoint{folder_of(name)}};
    const token_batch texts = some_texts(opt.shape());
    hash_existing plain, edited;
    plain.shape = edited.shape = &opt.shape();
    opt.run(texts, plain);
    all_sites::for_each([&]<class Site>(Site) {
      if (!Site::exists(opt.shape())) return;
      CAPTURE(name);
      CAPTURE(Site::name);
      editor_by_name editor{Site::name};
      opt.run(texts, editor, edited);
      CHECK_EQ(edited.of_text, plain.of_text);
    });
  }
}

TEST_CASE("an edit changes no other text, no earlier position, no earlier site, and what follows from it") {
  for (const std::string& name : shapes) {
    model<> opt{checkpoint{folder_of(name)}};
    const token_batch texts = some_texts(opt.shape());
    capture<site::resid_pre, site::resid_post, site::logits> plain, after;
    opt.run(texts, plain);
    all_sites::for_each([&]<class Site>(Site) {
      if (!Site::exists(opt.shape()) || Site::layout == site_layout::head) return;
      CAPTURE(name);
      CAPTURE(Site::name);
      editor_by_name editor{Site::name, Site::per_layer ? 1u : 0u, true};
      opt.run(texts, editor, after);
      const auto same = [&](auto of, std::size_t layer, std::size_t text, std::size_t row) {
        return std::ranges::equal(plain(of, layer, text).row(row), after(of, layer, text).row(row));
      };
      for (const std::size_t text : {0u, 1u, 2u}) {
        for (std::size_t row = 0; row < texts[text].size(); ++row) {
          const bool own = text == 1 && row >= 3;
          if (!own) CHECK(same(site::logits{}, 0, text, row));
          if (Site::per_layer) CHECK(same(site::resid_post{}, 0, text, row));
        }
      }
      CHECK_FALSE(same(site::logits{}, 0, 1, std::is_same_v<Site, site::k> ? 4 : 3));
    });
  }
}

TEST_CASE("editors act in the order written, and observers see what those before them left") {
  model<> opt{checkpoint{folder_of("head-dim-64")}};
  const token_batch texts{some_text(5, 101, 1)};
  auto add = edit_at(
      site::mlp_post{}, [](auto view, const place&) { view.row(2)[7] += 1; }, 0);
  auto twice = edit_at(
      site::mlp_post{}, [](auto view, const place&) { view.row(2)[7] *= 2; }, 0);
  capture<site::mlp_post> first, second, third;
  opt.run(texts, first, add, second, twice, third);
  const float value = first(site::mlp_post{}, 0)(2, 7);
  CHECK_EQ(second(site::mlp_post{}, 0)(2, 7), value + 1);
  CHECK_EQ(third(site::mlp_post{}, 0)(2, 7), 2 * (value + 1));
  opt.run(texts, twice, add, third);
  CHECK_EQ(third(site::mlp_post{}, 0)(2, 7), 2 * value + 1);
}

TEST_CASE_TEMPLATE("an edited scale divides, an edited result is summed, an edited score is seen by the pattern",
                   Scalar, float, double) {
  const double tolerance = std::is_same_v<Scalar, double> ? 1e-13 : 1e-5;
  for (const std::string& name : shapes) {
    model<any_opt, Scalar> opt{checkpoint{folder_of(name)}};
    const architecture& shape = opt.shape();
    const token_batch texts = some_texts(shape);
    basic_capture<Scalar, site::resid_pre, site::attn_out, site::ln1, site::result, site::pattern, site::z, site::v>
        plain, after;
    opt.run(texts, plain);
    // ln1: twice the scale at two rows halves the distance from beta, which zero scale's inverse, a large one, shows.
    auto twice = edit_at(
        site::ln1_scale{},
        [](auto view, const place& at) {
          if (at.text == 0) view(7, 0) *= 2, view(39, 0) *= 2;
        },
        1);
    auto endless = edit_at(
        site::ln1_scale{},
        [](auto view, const place& at) {
          if (at.text == 0) view(7, 0) = 1e30f;
        },
        1);
    opt.run(texts, endless, after);
    const auto beta = after(site::ln1{}, 1, 0).row(7);
    const std::vector<Scalar> shift(beta.begin(), beta.end());
    opt.run(texts, twice, after);
    const auto normed = plain(site::ln1{}, 1, 0), halved = after(site::ln1{}, 1, 0);
    std::vector<Scalar> expected;
    for (std::size_t i = 0; i < shape.hidden; ++i) expected.push_back((normed(7, i) + shift[i]) / 2);
    check_close<Scalar, Scalar>(halved.row(7), expected, tolerance, name + " ln1");
    CHECK(std::ranges::equal(halved.row(6), normed.row(6)));

    auto remove = edit_at(
        site::result{},
        [](auto view, const place& at) {
          if (at.text != 0) return;
          const std::size_t width = view.extent(2);
          std::ranges::fill(view.row(5).subspan(width, width), 0);  // head 1
        },
        1);
    opt.run(texts, remove, after);
    expected.clear();
    for (std::size_t i = 0; i < shape.hidden; ++i) {
      expected.push_back(plain(site::attn_out{}, 1, 0)(5, i) - plain(site::result{}, 1, 0)(5, 1, i));
    }
    check_close<Scalar, Scalar>(after(site::attn_out{}, 1, 0).row(5), expected, tolerance, name + " attn_out");
    CHECK(std::ranges::equal(after(site::attn_out{}, 1, 0).row(4), plain(site::attn_out{}, 1, 0).row(4)));

    auto look = edit_at(
        site::scores{},
        [](auto view, const place& at) {
          if (at.text == 0) view(1, 5, 2) = view(1, 5, 39) = 100;  // 39 is later than 5
        },
        1);
    auto ones = edit_at(
        site::pattern{},
        [](auto view, const place& at) {
          for (std::size_t i = 0; at.text == 0 && i < 40; ++i) view(0, 5, i) = 1;
        },
        1);
    opt.run(texts, look, ones, after);
    CHECK(std::abs(after(site::pattern{}, 1, 0)(1, 5, 2) - 1) < 1e-6);
    const std::size_t width = shape.head_dim();
    expected.assign(width, 0);
    for (std::size_t key = 0; key <= 5; ++key) {
      for (std::size_t i = 0; i < width; ++i) expected[i] += after(site::v{}, 1, 0)(key, 0, i);
    }
    check_close<Scalar, Scalar>(after(site::z{}, 1, 0).row(5).subspan(0, width), expected, tolerance, name + " z");
    CHECK_EQ(after(site::pattern{}, 1, 0)(0, 5, 6), 0);
    CHECK(std::ranges::equal(after(site::z{}, 1, 1).row(5), plain(site::z{}, 1, 1).row(5)));
  }
}

TEST_CASE("a run that starts at a layer has the bits of the whole run, edited there or not, with a cache or without") {
  for (const std::string& name : shapes) {
    model<> opt{checkpoint{folder_of(name)}};
    const token_batch texts = some_texts(opt.shape());
    capture<site::resid_pre> before;
    kv_cache<float> cache;
    opt.run(texts, cache, before.only_layers({1}));
    std::size_t layers = 0;
    opt.on_progress([&](std::size_t, std::size_t) { ++layers; });
    for (const bool edit : {false, true}) {
      auto editor = edit_at(
          site::attn_out{},
          [&](auto view, const place& at) {
            if (edit) nudge(view, at);
          },
          1);
      capture<site::k, site::pattern, site::result, site::resid_post, site::logits> whole, part, cached;
      for (auto* probe : {&whole, &part, &cached}) probe->only_layers({1});
      opt.run(texts, editor, whole);
      layers = 0;
      opt.run_from(1, before(site::resid_pre{}, 1), texts, editor, part);
      CHECK_EQ(layers, opt.layers() - 1);
      opt.run_from(1, before(site::resid_pre{}, 1), texts, cache, editor, cached);
      for (const auto* other : {&part, &cached}) {
        for (std::size_t text = 0; text < texts.size(); ++text) {
          decltype(whole)::sites::for_each([&](auto site) {
            const auto a = whole(site, site.per_layer ? 1 : 0, text), b = (*other)(site, site.per_layer ? 1 : 0, text);
            CHECK(std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size()));
          });
        }
      }
      CHECK_EQ(cache.length(0), 40);
      // The cache continues like that of a whole run.
      kv_cache<float> fresh, again = cache;
      opt.run(texts, fresh, editor);
      const token_batch next{{5}, {6}, {7}};
      const auto a = opt.next_logits(next, fresh), b = opt.next_logits(next, again);
      CHECK(std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size()));
    }
  }
}

TEST_CASE("generation that starts at a layer gives what whole generation with the same editor gives") {
  resident opt{checkpoint{folder_of("head-dim-80")}};
  const token_batch prompts{some_text(12, 101, 4), some_text(3, 101, 5)};
  kv_cache<float> cache;
  capture<site::resid_pre> before;
  opt.run(prompts, cache, before.only_layers({1}));
  const generation what{.new_tokens = 20, .stop = {}};
  auto editor = edit_at(
      site::mlp_out{},
      [](auto view, const place&) {
        for (std::size_t row = 0; row < view.rows(); ++row) std::ranges::fill(view.row(row).subspan(0, 40), 2);
      },
      1);
  const token_batch edited = generate(opt, prompts, what, editor);
  CHECK_EQ(generate_from(1, before(site::resid_pre{}, 1), cache, opt, prompts, what, editor), edited);
  CHECK_EQ(generate_from(1, before(site::resid_pre{}, 1), cache, opt, prompts, what), generate(opt, prompts, what));
  CHECK(generate(opt, prompts, what) != edited);
}

TEST_CASE("input that a run from a layer cannot take is refused with a reason") {
  model<> opt{checkpoint{folder_of("head-dim-64")}};
  const token_batch texts{some_text(5, 101, 1), some_text(3, 101, 2)};
  capture<site::resid_pre> before;
  kv_cache<float> cache, empty;
  opt.run(texts, cache, before);
  const auto rows = before(site::resid_pre{}, 1);
  const auto message = [](auto&& action) {
    try {
      action();
    } catch (const bad_input& e) {
      return std::string{e.what()};
    }
    return std::string{"nothing thrown"};
  };
  CHECK_EQ(message([&] { opt.run_from(2, rows, texts); }), "a run from layer 2: expected a layer below 2, found 2");
  CHECK_EQ(message([&] { opt.run_from(1, rows.slice(0, 7), texts); }),
           "a run from layer 1: expected 8 rows of 128, found 7 rows of 128");
  const std::vector<float> narrow(8 * 64);
  CHECK_EQ(message([&] {
             opt.run_from(1, {narrow.data(), {8, 64}}, texts);
           }),
           "a run from layer 1: expected 8 rows of 128, found 8 rows of 64");
  CHECK_EQ(message([&] { opt.run_from(1, rows, texts, before); }),
           "a run from layer 1: expected probes that want nothing below it, found one that wants resid_pre of layer 0");
  capture<site::pos_embed> embedding;
  CHECK_EQ(message([&] { opt.run_from(0, rows, texts, embedding); }),
           "a run from layer 0: expected probes that want nothing below it, found one that wants pos_embed");
  CHECK_EQ(message([&] { opt.run_from(1, rows, texts, empty); }),
           "text 0: expected 5 tokens that the cache holds, found 0");
  cache.truncate(1, 2);
  CHECK_EQ(message([&] { opt.run_from(1, rows, texts, cache); }),
           "text 1: expected 3 tokens that the cache holds, found 2");
  CHECK_EQ(cache.length(0), 5);
}

TEST_CASE("logits edited while generating are those that the next token is chosen from") {
  for (const char* name : {"head-dim-80", "post-ln-projected"}) {
    resident opt{checkpoint{folder_of(name)}};
    const token_batch prompts{some_text(12, 90, 4), some_text(3, 90, 5)};
    const generation what{.new_tokens = 5, .stop = {}};
    auto only = edit_at(site::logits{}, [](auto view, const place& at) {
      for (std::size_t row = 0; row < view.rows(); ++row) view(row, 10 + at.first_position + row) = 1e6f;
    });
    CHECK_EQ(generate(opt, prompts, what, only), token_batch{{21, 22, 23, 24, 25}, {12, 13, 14, 15, 16}});
    // A probe of logits in the same run changes none of them.
    capture<site::logits> seen;
    CHECK_EQ(generate(opt, prompts, what, seen), generate(opt, prompts, what));
  }
  resident opt{checkpoint{folder_of("head-dim-80")}};
  auto same = edit_at(site::ln_final{}, [](auto view, const place&) {
    for (std::size_t row = 1; row < view.rows(); ++row) std::ranges::copy(view.row(0), view.row(row).data());
  });
  kv_cache<float> cache;
  capture<site::logits> first;
  const token_batch text{some_text(12, 90, 4)};
  opt.run(text, first);
  const auto next = opt.next_logits(text, cache, same);
  CHECK(std::ranges::equal(next.row(0), first(site::logits{}, 0).row(0)));
}

TEST_CASE("generation with editors is generation by whole runs with the same editors") {
  for (const std::string& name : shapes) {
    resident opt{checkpoint{folder_of(name)}};
    const auto edit_rows = [](auto view, const place&) {
      for (std::size_t row = 0; row < view.rows(); ++row) view.row(row)[1] = 0.5f * view.row(row)[1] + 0.3f;
    };
    auto k = edit_at(site::k{}, edit_rows, 0);
    auto scale = edit_at(site::ln2_scale{}, [](auto view, const place&) {
      for (std::size_t row = 0; row < view.rows(); ++row) view(row, 0) *= 1.5f;
    });
    auto result = edit_at(site::result{}, edit_rows);
    auto mlp = edit_at(site::mlp_post{}, edit_rows, 1);
    auto scores = edit_at(site::scores{}, [](auto view, const place&) {
      for (std::size_t head = 0; head < view.rows(); ++head) {
        for (std::size_t row = 0; row < view.extent(1); ++row) view(head, row, 0) += 1;
      }
    });
    token_list text = some_text(9, opt.shape().vocabulary, 6);
    kv_cache<float> cache;
    for (token_batch next{text}; text.size() < 20;) {
      const auto cached = opt.next_logits(next, cache, k, scale, result, mlp, scores);
      capture<site::logits> whole{positions::last()};
      opt.run({text}, k, scale, result, mlp, scores, whole);
      check_close<float, float>(cached.row(0), whole(site::logits{}, 0).row(0), 1e-5, name);
      next = {{greedy(cached.row(0))}};
      text.push_back(next[0][0]);
    }
  }
}

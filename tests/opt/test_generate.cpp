// SPDX-License-Identifier: MIT
// Runs after cached tokens compared with whole runs, and generation compared with transformers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <compare.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/generation_config.hpp>
#include <optscope/core/json.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "places.hpp"
#include "some_runs.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {

const std::vector<std::string> generated_shapes{"head-dim-64", "head-dim-80",  "head-dim-128",
                                                "head-dim-7",  "no-bias-gelu", "post-ln-projected"};

using resident = model<any_opt, float, cpu, mapped_weights<float>>;

token_list part(const token_list& text, std::size_t first, std::size_t last) {
  return {text.begin() + static_cast<std::ptrdiff_t>(first), text.begin() + static_cast<std::ptrdiff_t>(last)};
}

/// The rows of a whole run's view that a run after `before` cached tokens shows.
template <class Site, class Scalar>
std::vector<Scalar> new_rows(tensor_view<const Scalar, Site::rank> view, std::size_t before, std::size_t after) {
  std::vector<Scalar> rows;
  if constexpr (Site::layout == site_layout::position) {
    for (std::size_t row = before; row < after; ++row) {
      rows.insert(rows.end(), view.row(row).begin(), view.row(row).end());
    }
  } else {
    for (std::size_t head = 0; head < view.rows(); ++head) {
      for (std::size_t row = before; row < after; ++row) {
        const Scalar* keys = view.row(head).data() + row * view.extent(2);
        rows.insert(rows.end(), keys, keys + after);
      }
    }
  }
  return rows;
}

template <class Scalar, class... Sites>
void compare_cached_with_whole(const std::string& name, site_list<Sites...>, double tolerance) {
  model<any_opt, Scalar> opt{checkpoint{folder_of(name)}};
  const std::size_t vocabulary = opt.shape().vocabulary;
  const token_batch texts{some_text(300, vocabulary, 1), some_text(7, vocabulary, 2), some_text(41, vocabulary, 3)};
  basic_capture<Scalar, Sites...> whole, cached;
  opt.run(texts, whole);
  // Cut points of each text; an interval may be empty.
  const std::vector<std::vector<std::size_t>> cuts{{0, 130, 131, 131, 300}, {0, 1, 2, 6, 7}, {0, 40, 40, 41, 41}};
  kv_cache<Scalar> cache;
  double worst = 0;
  for (std::size_t piece = 0; piece + 1 < cuts[0].size(); ++piece) {
    token_batch next;
    for (std::size_t text = 0; text < texts.size(); ++text) {
      next.push_back(part(texts[text], cuts[text][piece], cuts[text][piece + 1]));
    }
    opt.run(next, cache, cached);
    for (std::size_t text = 0; text < texts.size(); ++text) {
      const std::size_t before = cuts[text][piece], after = cuts[text][piece + 1];
      CHECK_EQ(cache.length(text), after);
      CHECK_EQ(cached.positions_of(text).size(), after - before);
      if (before == after) continue;
      site_list<Sites...>::for_each([&]<class Site>(Site) {
        for (std::size_t layer = 0; layer < (Site::per_layer ? opt.layers() : 1); ++layer) {
          const tensor_view<const Scalar, Site::rank> found = cached(Site{}, layer, text);
          const std::vector<Scalar> expected = new_rows<Site, Scalar>(whole(Site{}, layer, text), before, after);
          worst = std::max(worst, check_close<Scalar, Scalar>({found.data(), found.size()}, expected, tolerance,
                                                              name + " " + std::string{Site::name}));
        }
      });
    }
  }
  MESSAGE(name << ": worst error " << worst);
}

}  // namespace

TEST_CASE_TEMPLATE("a run after cached tokens gives every site of the new tokens as one run over all tokens does",
                   Scalar, float, double) {
  const double tolerance = std::is_same_v<Scalar, double> ? 1e-13 : 1e-5;
  using sites = site_list<site::embed, site::pos_embed, site::resid_pre, site::ln1, site::q, site::k, site::v,
                          site::scores, site::pattern, site::z, site::result, site::attn_out, site::resid_mid,
                          site::ln2, site::mlp_pre, site::mlp_post, site::mlp_out, site::resid_post, site::logits>;
  for (const std::string& name : generated_shapes) compare_cached_with_whole<Scalar>(name, sites{}, tolerance);
  compare_cached_with_whole<Scalar>("demo-model", site_list<site::ln_final, site::pattern, site::resid_post>{},
                                    tolerance);
}

TEST_CASE("the logits of the last positions are those of a whole run, with and without a probe") {
  for (const std::string& name : generated_shapes) {
    model<> opt{checkpoint{folder_of(name)}};
    const std::size_t vocabulary = opt.shape().vocabulary;
    const token_batch texts{some_text(40, vocabulary, 1), some_text(1, vocabulary, 2), some_text(9, vocabulary, 3)};
    capture<site::logits> all;
    opt.run(texts, all);
    kv_cache<float> cache;
    capture<site::resid_post> beside;
    const tensor<float, 2> next = opt.next_logits(texts, cache, beside);
    REQUIRE_EQ(next.shape(), std::array<std::size_t, 2>{3, vocabulary});
    for (std::size_t text = 0; text < texts.size(); ++text) {
      check_close<float, float>(next.row(text), all(site::logits{}, 0, text).row(texts[text].size() - 1), 1e-5, name);
    }
    const tensor<float, 2> more = opt.next_logits({{}, {5}, {}}, cache);
    const auto zero = [](float value) { return value == 0; };
    CHECK(std::ranges::all_of(more.row(0), zero));
    CHECK_FALSE(std::ranges::all_of(more.row(1), zero));
  }
}

TEST_CASE("a shortened cache continues with the bits of one that was never longer; growing changes nothing") {
  resident opt{checkpoint{folder_of("head-dim-80")}};
  const token_list text = some_text(100, 101, 5);
  kv_cache<float> grown, reserved, cut;
  reserved.prepare(opt.shape(), 1);
  reserved.reserve(0, 320);
  std::vector<float> from_grown, from_reserved;
  for (const token_id id : text) {
    const auto a = opt.next_logits({{id}}, grown), b = opt.next_logits({{id}}, reserved);
    REQUIRE(std::ranges::equal(a.row(0), b.row(0)));
  }
  opt.run({part(text, 0, 60)}, cut);
  const auto once = opt.next_logits({part(text, 60, 100)}, cut);
  cut.truncate(0, 60);
  CHECK_EQ(cut.length(0), 60);
  opt.run({{7, 8, 9}}, cut);
  cut.truncate(0, 60);
  const auto again = opt.next_logits({part(text, 60, 100)}, cut);
  CHECK(std::ranges::equal(once.row(0), again.row(0)));
  cut.clear();
  CHECK_EQ(cut.texts(), 0);
  opt.run({{2}, {3}}, cut);
  CHECK_EQ(cut.texts(), 2);
}

TEST_CASE("input that a cache cannot take is refused with a reason, and the cache stays unchanged") {
  resident opt{checkpoint{folder_of("head-dim-64")}};
  kv_cache<float> cache;
  const auto message = [&](const token_batch& texts, kv_cache<float>& with) {
    try {
      opt.run(texts, with);
    } catch (const bad_input& e) {
      return std::string{e.what()};
    }
    return std::string{"nothing thrown"};
  };
  CHECK_EQ(message({{2}, {}}, cache), "text 1: expected at least one token, found none");
  CHECK_EQ(cache.texts(), 0);
  opt.run({token_list(300, 2)}, cache);
  CHECK_EQ(message({token_list(21, 2)}, cache), "text 0: expected at most 320 tokens, found 321");
  CHECK_EQ(message({{101}}, cache), "text 0: expected ids below 101, found 101 at position 0");
  CHECK_EQ(message({{2}, {2}}, cache),
           "cache: expected 2 layers, hidden 128, 2 texts, found 2 layers, hidden 128, 1 texts");
  CHECK_EQ(cache.length(0), 300);
  opt.run({token_list(20, 2)}, cache);
  CHECK_EQ(cache.length(0), 320);
  resident other{checkpoint{folder_of("head-dim-80")}};
  CHECK_THROWS_AS(other.run({{2}}, cache), bad_input);
}

TEST_CASE("greedy ids are those of generate in transformers, for all prompts at once") {
  std::vector<std::string> names = generated_shapes;
  names.push_back("demo-model");
  for (const std::string& name : names) {
    CAPTURE(name);
    const token_batch prompts = read_token_lists(goldens + "generate/" + name + "-prompts.json");
    const token_batch expected = read_token_lists(goldens + "generate/" + name + "-ids.json");
    resident opt{checkpoint{folder_of(name)}};
    CHECK_EQ(generate(opt, prompts, {.new_tokens = 24}), expected);
    model<any_opt, double> exact{checkpoint{folder_of(name)}};
    CHECK_EQ(generate(exact, prompts, {.new_tokens = 24}), expected);
  }
}

namespace {

/// Keeps the bits of the stream at the last position, text by text.
struct seen_streams {
  using sites = site_list<site::resid_post>;
  std::vector<std::vector<float>> of_text = std::vector<std::vector<float>>(64);
  std::vector<std::vector<std::size_t>> positions = std::vector<std::vector<std::size_t>>(64);
  void operator()(site::resid_post, const place& at, tensor_view<const float, 2> view) {
    for (std::size_t row = 0; row < view.rows(); ++row) {
      of_text[at.text].insert(of_text[at.text].end(), view.row(row).begin(), view.row(row).end());
      positions[at.text].push_back(at.first_position + row);
    }
  }
  [[nodiscard]] bool wants(site::resid_post, std::size_t layer) const { return layer == 1; }
};

}  // namespace

TEST_CASE("prompts are continued with the same bits alone and together, greedy and sampled") {
  for (const char* name : {"head-dim-80", "head-dim-7", "post-ln-projected", "demo-model"}) {
    resident opt{checkpoint{folder_of(name)}};
    const std::size_t vocabulary = opt.shape().vocabulary;
    token_batch prompts;
    for (std::size_t i = 0; i < 35; ++i) prompts.push_back(some_text(1 + i * i % 50, vocabulary, i));
    for (const double temperature : {0.0, 1.0}) {
      const generation what{.new_tokens = 12, .how = {.temperature = temperature, .top_p = 0.95, .seed = 3}};
      seen_streams together;
      const token_batch all = generate(opt, prompts, what, together);
      for (std::size_t i = 0; i < prompts.size(); i += 3) {
        seen_streams alone;
        CHECK_EQ(generate(opt, {prompts[i]}, what, alone)[0], all[i]);
        CHECK_EQ(alone.of_text[0], together.of_text[i]);
        CHECK_EQ(alone.positions[0], together.positions[i]);
        REQUIRE_EQ(alone.positions[0].size(), prompts[i].size() + all[i].size() - 1);
        for (std::size_t at = 0; at < alone.positions[0].size(); ++at) CHECK_EQ(alone.positions[0][at], at);
      }
    }
  }
}

TEST_CASE("a continuation ends with a stop id, if there is one; the other prompts of the batch continue unchanged") {
  resident opt{checkpoint{folder_of("demo-model")}};
  const token_batch prompts{some_text(5, 500, 1), some_text(9, 500, 2)};
  const token_batch free = generate(opt, prompts, {.new_tokens = 20, .stop = {}});
  REQUIRE_EQ(free[0].size(), 20);
  const token_id stop = free[0][6];
  const auto ending = [&](const token_list& ids) {
    const auto found = std::ranges::find(ids, stop);
    return token_list{ids.begin(), found == ids.end() ? found : found + 1};
  };
  const token_batch stopped = generate(opt, prompts, {.new_tokens = 20, .stop = {49999, stop}});
  CHECK_EQ(stopped[0], ending(free[0]));
  CHECK_EQ(stopped[1], ending(free[1]));
  CHECK(stopped[0].size() <= 7);
  CHECK(generate(opt, prompts, {.new_tokens = 0}) == token_batch{{}, {}});
  CHECK(generate(opt, {}, {}).empty());
}

TEST_CASE("a continuation ends at the model's last position; a longer prompt is refused") {
  resident opt{checkpoint{folder_of("head-dim-64")}};
  const token_batch ids =
      generate(opt, {some_text(317, 101, 1), some_text(320, 101, 2)}, {.new_tokens = 50, .stop = {}});
  CHECK_EQ(ids[0].size(), 4);
  CHECK_EQ(ids[1].size(), 1);
  CHECK_THROWS_AS((void)generate(opt, {some_text(321, 101, 1)}, {}), bad_input);
  CHECK_THROWS_AS((void)generate(opt, {{2}, {}}, {}), bad_input);
}

TEST_CASE("ids without a token are never chosen, greedy or sampled") {
  resident opt{checkpoint{folder_of("head-dim-64")}};
  const token_batch prompts{some_text(5, 101, 1), some_text(9, 101, 2), some_text(2, 101, 3)};
  for (const double temperature : {0.0, 5.0}) {
    generation what{.new_tokens = 100, .how = {.temperature = temperature}, .stop = {}, .tokens = 30};
    what.banned.assign(10, true);
    for (const token_list& ids : generate(opt, prompts, what)) {
      CHECK_EQ(ids.size(), 100);
      CHECK(std::ranges::all_of(ids, [](token_id id) { return id >= 10 && id < 30; }));
    }
  }
}

TEST_CASE("a seed always gives the same continuation, another seed a different one") {
  resident opt{checkpoint{folder_of("demo-model")}};
  const auto with_seed = [&](std::uint64_t seed) {
    return generate(opt, {{2, 100, 200}}, {.new_tokens = 20, .how = {.temperature = 1, .seed = seed}, .stop = {}});
  };
  CHECK_EQ(with_seed(1), with_seed(1));
  CHECK(with_seed(1) != with_seed(2));
}

namespace {

token_batch lists_of(const json_value& value) {
  token_batch batch;
  std::vector<json_value> lists, list;
  REQUIRE(value.get(lists));
  for (const json_value& each : lists) {
    REQUIRE(each.get(list));
    batch.emplace_back();
    for (const json_value& id : list) {
      std::int64_t number = 0;
      REQUIRE(id.get(number));
      batch.back().push_back(static_cast<token_id>(number));
    }
  }
  return batch;
}

}  // namespace

TEST_CASE("settings of generation_config.json and config.json have the effect that they have in transformers") {
  const json_file file = json_file::read(goldens + "generate/rules.json");
  const json_object all{file, file.root()}, cases{file, *all.find("cases")};
  const token_batch prompts = lists_of(*all.find("prompts"));
  model<any_opt, double> opt{checkpoint{folder_of("head-dim-64")}};
  for (const auto& [key, content] : cases.members()) {
    const std::string name{key};
    CAPTURE(name);
    const temporary_folder folder;
    const json_object parts{file, content}, files{file, *parts.find("files")};
    for (const auto& [path, text] : files.members()) {
      std::string_view bytes;
      REQUIRE(text.get(bytes));
      folder.put(std::string{path}, bytes);
    }
    const generation_config values = read_generation_config(folder.path);
    const generation what{.new_tokens = 12, .stop = values.eos_token_ids, .rules = logit_rules{values}};
    const token_batch ids = lists_of(*parts.find("ids"));
    CHECK_EQ(generate(opt, prompts, what), ids);
    CHECK_EQ(generate(opt, {prompts[1]}, what), token_batch{ids[1]});
  }
}

TEST_CASE("a token is drawn from those that transformers draws from, with its probabilities") {
  const json_file file = json_file::read(goldens + "generate/sampling.json");
  const json_object all{file, file.root()};
  const token_list prompt = lists_of(*all.find("prompts"))[0];
  model<any_opt, double> opt{checkpoint{folder_of("head-dim-64")}};
  basic_capture<double, site::logits> probe{positions::last()};
  opt.run({prompt}, probe);
  std::vector<json_value> cases, kept, pair;
  REQUIRE(all.find("cases")->get(cases));
  for (const json_value& each : cases) {
    const json_object parts{file, each};
    std::string_view settings;
    REQUIRE(parts.find("settings")->get(settings));
    CAPTURE(settings);
    const temporary_folder folder;
    folder.put("config.json", "{}");
    folder.put("generation_config.json", settings);
    const generation_config values = read_generation_config(folder.path);
    CHECK(values.do_sample);
    CHECK(values.not_applied.empty());

    const auto row = probe(site::logits{}).row(0);
    std::vector<double> logits{row.begin(), row.end()};
    std::vector<bool> banned(logits.size());
    logit_rules{values}.apply<double>(logits, banned, prompt, true, false);
    sampler choose{{.temperature = values.temperature, .top_k = values.top_k, .top_p = values.top_p}};
    (void)choose(std::span<const double>{logits}, logits.size(), banned);
    std::vector<double> found(logits.size()), expected(logits.size());
    for (const auto& [id, p] : choose.last_choice()) found[static_cast<std::size_t>(id)] = p;
    REQUIRE(parts.find("kept")->get(kept));
    for (const json_value& one : kept) {
      std::uint64_t id = 0;
      REQUIRE(one.get(pair));
      REQUIRE(pair[0].get(id));
      REQUIRE(pair[1].get(expected[id]));
    }
    for (std::size_t id = 0; id < found.size(); ++id) {
      CAPTURE(id);
      CHECK_EQ(found[id] > 0, expected[id] > 0);
      CHECK_LT(std::abs(found[id] - expected[id]), 1e-6);  // exp of the weights is of float's accuracy
    }
  }
}

TEST_CASE("what is not applied of a generation's settings is named, and what is wrong refused") {
  const auto read = [](const char* generation, const std::string& config = "{}") {
    const temporary_folder folder;
    folder.put("config.json", config);
    if (generation != nullptr) folder.put("generation_config.json", generation);
    std::string text;
    try {
      for (const std::string& each : read_generation_config(folder.path).not_applied) {
        text += each.substr(folder.path.string().size() + 1) + "\n";
      }
    } catch (const checkpoint_error& wrong) {
      text = std::string{wrong.what()}.substr(folder.path.string().size() + 1);
    }
    return text;
  };
  CHECK_EQ(read("{}"), "");
  CHECK_EQ(read(R"({"num_beams": 1, "min_length": 0, "top_k": 50, "temperature": 1.0, "sequence_bias": null,
                    "length_penalty": 1, "early_stopping": false, "stop_strings": [], "use_cache": true})"),
           "");
  CHECK_EQ(read(R"({"num_beams": 4, "max_new_tokens": 20, "top_p": 0.9, "early_stopping": "never"})"),
           "generation_config.json: top_p 0.9\ngeneration_config.json: max_new_tokens 20\n"
           "generation_config.json: num_beams 4\ngeneration_config.json: early_stopping \"never\"\n");
  CHECK_EQ(read(R"({"do_sample": true, "top_p": 0.9, "top_k": 3, "temperature": 0.5})"), "");
  CHECK_EQ(read(nullptr, R"({"min_length": 3, "repetition_penalty": 2})"), "config.json: min_length 3\n");
  CHECK_EQ(read("{}", R"({"min_length": 3, "repetition_penalty": 2, "do_sample": false})"),
           "config.json: repetition_penalty 2\nconfig.json: min_length 3\n");
  CHECK_EQ(read(R"({"eos_token_id": "</s>"})"),
           "generation_config.json: eos_token_id: expected a token id or null, found the string \"</s>\"");
  CHECK_EQ(read(R"({"repetition_penalty": 0})"),
           "generation_config.json: repetition_penalty: expected a number above 0, found 0");
  CHECK_EQ(read(R"({"bad_words_ids": [[]]})"),
           "generation_config.json: bad_words_ids: expected a list of lists of token ids, found a list");
  CHECK_EQ(read(R"({"do_sample": true, "top_p": NaN})"),
           "generation_config.json: top_p: expected a number above 0, at most 1, found NaN");
}

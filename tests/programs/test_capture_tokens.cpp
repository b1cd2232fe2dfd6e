// SPDX-License-Identifier: MIT
// Results of `capture` and `tokens` against the library.
#include <limits>
#include <map>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

#include "compare.hpp"
#include "programs/run_program.hpp"

using namespace program_tests;
using namespace optscope;

namespace {

const token_batch batch{{2, 7, 9, 30, 4}, {2, 100, 51}};
const std::string batch_text = "[[2, 7, 9, 30, 4], [2, 100, 51]]";

template <class... Sites>
capture<Sites...> capture_of(site_list<Sites...>, positions where) {
  return capture<Sites...>{std::move(where)};
}

using shape_list = std::vector<std::size_t>;

std::map<std::string, stored_tensor> tensors_in(const fs::path& file) {
  std::map<std::string, stored_tensor> result;
  const tensor_table table = read_safetensors(file);
  CHECK(table.unsupported.empty());
  for (const auto& [name, tensor] : table.tensors) {
    CHECK_EQ(name_of(tensor.type()), "F32");
    result.emplace(name, tensor);
  }
  return result;
}

std::vector<float> values_of(const stored_tensor& tensor) {
  std::vector<float> values(tensor.size());
  tensor.copy_to(values.data());
  return values;
}

/// Every name of `SITE`, joined by commas, that a model of this shape has.
std::string all_names(const architecture& shape) {
  std::string names;
  all_sites::for_each([&]<class Site>(Site) {
    if (Site::exists(shape)) names += (names.empty() ? "" : ",") + std::string{Site::name};
  });
  return names;
}

}  // namespace

TEST_CASE("capture writes what the library shows a probe, under the names and in the shapes of every site") {
  for (const fs::path& folder : {tiny_model, post_ln_model}) {
    CAPTURE(folder.string());
    const sandbox box;
    box.write("ids.json", batch_text);
    model<> opt{checkpoint{folder}, cpu{1}};
    const std::string names = all_names(opt.shape());
    check_done(box.run("capture", {"--model", folder, "--ids", "ids.json", "--sites", names, "--out", "all.safetensors",
                                   "--threads", "1"}));
    CHECK_EQ(box.list(), std::vector<std::string>{"all.safetensors", "ids.json"});
    const auto found = tensors_in(box / "all.safetensors");

    auto probe = capture_of(all_sites{}, positions::all());
    std::vector<std::string> wanted;
    all_sites::for_each([&]<class Site>(Site) {
      if (Site::exists(opt.shape())) wanted.emplace_back(Site::name);
    });
    probe.only_sites(wanted);
    opt.run(batch, probe);
    std::size_t count = 0;
    for (std::size_t text = 0; text < batch.size(); ++text) {
      all_sites::for_each([&]<class Site>(Site site) {
        for (std::size_t layer = 0; layer < (Site::per_layer ? opt.layers() : 1); ++layer) {
          if (!probe.wants(site, layer)) continue;
          ++count;
          std::string name = std::to_string(text) + "." + std::string{Site::name};
          if (Site::per_layer) name += "." + std::to_string(layer);
          REQUIRE_MESSAGE(found.count(name) == 1, name);
          const auto view = probe(site, layer, text);
          CHECK_EQ(found.at(name).shape(), shape_list(view.shape().begin(), view.shape().end()));
          const std::vector<float> values = values_of(found.at(name));
          check_close(std::span<const float>{values}, std::span<const float>{view.data(), view.size()}, 1e-6, name);
        }
      });
    }
    CHECK_EQ(found.size(), count);

    const architecture& s = opt.shape();
    CHECK_EQ(found.at("0.resid_post.1").shape(), shape_list{5, s.hidden});
    CHECK_EQ(found.at("0.embed").shape(), shape_list{5, s.hidden});
    CHECK_EQ(found.at("1.mlp_post.0").shape(), shape_list{3, s.ffn});
    CHECK_EQ(found.at("0.q.0").shape(), shape_list{5, s.heads, s.head_dim()});
    CHECK_EQ(found.at("0.result.0").shape(), shape_list{5, s.heads, s.hidden});
    CHECK_EQ(found.at("1.logits").shape(), shape_list{3, s.vocabulary});
    CHECK_EQ(found.at("0.scores.1").shape(), shape_list{s.heads, 5, 5});
    CHECK_EQ(found.at("1.pattern.1").shape(), shape_list{s.heads, 3, 3});
    const std::vector<float> scores = values_of(found.at("0.scores.1")), pattern = values_of(found.at("0.pattern.1"));
    for (std::size_t head = 0; head < s.heads; ++head) {
      for (std::size_t position = 0; position < 5; ++position) {
        double sum = 0;
        for (std::size_t key = 0; key < 5; ++key) {
          const std::size_t i = (head * 5 + position) * 5 + key;
          CHECK_EQ(key > position, scores[i] == -std::numeric_limits<float>::infinity());
          sum += pattern[i];
        }
        CHECK(sum == doctest::Approx(1).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("capture: --layers, --positions and --length select, in the order written") {
  const sandbox box;
  box.write("ids.json", batch_text);
  const auto captured = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> all{"--model", tiny_model,   "--ids",     "ids.json", "--sites",
                                 "logits",  "resid_post", "--threads", "1",        "--out"};
    all.push_back(out);
    all.insert(all.end(), more.begin(), more.end());
    check_done(box.run("capture", all));
    return tensors_in(box / out);
  };
  const auto rows = [](const stored_tensor& tensor, const std::vector<std::size_t>& chosen) {
    std::vector<float> values(chosen.size() * tensor.row_size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      tensor.copy_rows(chosen[i], 1, values.data() + i * tensor.row_size());
    }
    return values;
  };
  const auto all = captured("all", {});
  const auto some = captured("some", {"--layers", "-1", "--positions", "2,0,-1"});
  CHECK_EQ(some.size(), 4);
  CHECK_EQ(some.count("0.resid_post.0"), 0);
  CHECK_EQ(values_of(some.at("0.resid_post.1")), rows(all.at("0.resid_post.1"), {2, 0, 4}));
  CHECK_EQ(values_of(some.at("1.resid_post.1")), rows(all.at("1.resid_post.1"), {2, 0}));  // the last is 2
  CHECK_EQ(values_of(some.at("0.logits")), rows(all.at("0.logits"), {2, 0, 4}));
  const auto last = captured("last", {"--positions", "last", "--layers", "1"});
  CHECK_EQ(last.at("0.resid_post.1").shape(), shape_list{1, 128});
  CHECK_EQ(values_of(last.at("1.logits")), rows(all.at("1.logits"), {2}));
  const auto cut = captured("cut", {"--length", "3"});
  CHECK_EQ(cut.at("0.logits").shape(), shape_list{3, 101});
  const auto two = captured("two", {"--layers", "1,0,1", "--length", "1"});
  CHECK_EQ(two.size(), 6);

  // once more over what is there: the same bytes, and nothing else in the folder
  const std::string before = content_of(box / "some");
  captured("some", {"--layers", "-1", "--positions", "2,0,-1"});
  CHECK_EQ(content_of(box / "some"), before);
  CHECK_EQ(box.list(), std::vector<std::string>{"all", "cut", "ids.json", "last", "some", "two"});
}

TEST_CASE("capture: positions choose the rows of scores, and all keys are written") {
  const sandbox box;
  box.write("ids.json", batch_text);
  check_done(box.run("capture", {"--model", tiny_model, "--ids", "ids.json", "--sites", "pattern", "--layers", "0",
                                 "--positions", "1,3:", "--length", "4", "--out", "p"}));
  check_refused(box.run("capture", {"--model", tiny_model, "--ids", "ids.json", "--sites", "pattern", "--positions",
                                    "3", "--out", "q"}),
                3, "capture", "ids.json: list 1, --positions");
  CHECK_EQ(tensors_in(box / "p").at("0.pattern.0").shape(), shape_list{2, 2, 4});
  CHECK_EQ(tensors_in(box / "p").at("1.pattern.0").shape(), shape_list{2, 1, 3});
}

TEST_CASE("capture: a site that the model lacks is bad input that names it") {
  const sandbox box;
  box.write("ids.json", batch_text);
  check_refused(box.run("capture", {"--model", post_ln_model, "--ids", "ids.json", "--sites", "resid_post,ln_final",
                                    "--out", "out"}),
                3, "capture", post_ln_model.string() + ": site ln_final: expected a site of this model");
  CHECK_EQ(box.list(), std::vector<std::string>{"ids.json"});
}

TEST_CASE("every kind of checkpoint gives the same activations through capture") {
  const sandbox box;
  box.write("ids.json", "[[2, 7, 9]]");
  for (const char* name : {"safetensors-fp32", "safetensors-sharded", "bin-plain-dict", "bin-sharded", "bin-wrapped"}) {
    CAPTURE(name);
    const fs::path folder = source / "tests/goldens/checkpoint" / name;
    const outcome result = box.run(
        "capture", {"--model", folder, "--ids", "ids.json", "--sites", "logits", "--threads", "1", "--out", name});
    check_done(result);
    if (result.code != 0) continue;
    model<> opt{checkpoint{folder}, cpu{1}};
    capture<site::logits> probe;
    opt.run({{2, 7, 9}}, probe);
    const std::vector<float> values = values_of(tensors_in(box / name).at("0.logits"));
    const auto expected = probe(site::logits{});
    check_close(std::span<const float>{values}, std::span<const float>{expected.data(), expected.size()}, 1e-6, name);
  }
}

TEST_CASE("what is odd about a checkpoint is reported once, and the program continues") {
  const sandbox box;
  box.write("ids.json", "[[2, 7, 9]]");
  const auto said = [&](const std::string& name) {
    const fs::path folder = source / "tests/goldens/checkpoint" / name;
    const outcome result =
        box.run("capture", {"--model", folder, "--ids", "ids.json", "--sites", "logits", "--out", name});
    CHECK_EQ(result.code, 0);
    std::string text = result.err;
    for (std::size_t at; (at = text.find(folder.string())) != std::string::npos;) {
      text.replace(at, folder.string().size(), "MODEL");
    }
    return text;
  };
  CHECK_EQ(said("bin-no-prefix"), "");
  CHECK_EQ(
      said("bin-extra-tensors"),
      "capture: MODEL: tensor decoder.layers.0.self_attn.rotary.inv_freq: not used, config.json has no place for it\n"
      "capture: MODEL: tensor decoder.layers.1.fc1.weight: not used, config.json has no place for it\n"
      "capture: MODEL: tensor decoder.position_ids: not used, config.json has no place for it\n"
      "capture: MODEL: and 1 more tensors that are not used\n");
  CHECK_EQ(said("safetensors-not-finite"),
           "capture: MODEL: tensor decoder.embed_positions.weight: 8 elements are NaN or infinite, the first at 0\n"
           "capture: MODEL: tensor decoder.layers.0.fc1.bias: 1 element is NaN or infinite, the first at 3\n");
}

TEST_CASE("tokens prints what --ids takes, and both give the same activations") {
  const sandbox box;
  const outcome printed = box.run("tokens", {"--model", demo_model, "--texts", texts, "--length", "12"});
  check_done(printed);
  CHECK_EQ(std::count(printed.out.begin(), printed.out.end(), '\n'), 10);
  CHECK_EQ(printed.out.rfind("[2,", 0), 0);

  std::string json = "[" + printed.out;  // lines to one list
  for (char& c : json) c = c == '\n' ? ',' : c;
  json.back() = ']';
  box.write("ids.json", json);
  const token_batch ids = read_token_lists(box / "ids.json");
  REQUIRE_EQ(ids.size(), 10);
  const tokenizer words{demo_model};
  std::string beginning = content_of(texts / "1-articles/01-permit-form.txt");
  const std::string decoded = words.decode(ids[0]);
  CHECK_FALSE(decoded.empty());
  CHECK_EQ(beginning.rfind(decoded, 0), 0);

  const std::vector<std::string> rest{"--model", demo_model,  "--sites", "resid_post", "--layers",
                                      "0",       "--threads", "1",       "--length",   "12"};
  std::vector<std::string> of_texts = rest, of_ids = rest;
  of_texts.insert(of_texts.end(), {"--texts", texts, "--out", "of-texts"});
  of_ids.insert(of_ids.end(), {"--ids", "ids.json", "--out", "of-ids"});
  check_done(box.run("capture", of_texts));
  check_done(box.run("capture", of_ids));
  CHECK_EQ(content_of(box / "of-texts"), content_of(box / "of-ids"));
}

TEST_CASE("tokens needs no weights, keeps the bytes and the order of the texts") {
  const sandbox box;
  for (const char* file : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
    fs::create_directories(box / "words");
    fs::copy(demo_model / file, box / "words" / file);
  }
  box.write("texts/2-b/1.txt", "second");
  box.write("texts/1-a/2.txt", "first\r\n");
  box.write("texts/1-a/10.txt", "");
  const outcome result = box.run("tokens", {"--model", "words", "--texts", "texts"});
  check_done(result);
  const tokenizer words{demo_model};
  std::string expected;
  for (const char* text : {"", "first\r\n", "second"}) {  // "10.txt" < "2.txt"
    std::string line;
    for (const token_id id : words.encode(text)) line += (line.empty() ? "[" : ",") + std::to_string(id);
    expected += line + "]\n";
  }
  CHECK_EQ(result.out, expected);
}

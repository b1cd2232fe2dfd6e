// SPDX-License-Identifier: MIT
// `isolate` and `generate --edits`: a removal is found, applied and written as a smaller model; what cannot be kept.
#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "programs/run_program.hpp"

using namespace program_tests;

namespace {

const fs::path more_texts = source / "examples/more-texts";

std::vector<std::string> arguments(const std::string& keep, const std::string& out,
                                   std::vector<std::string> more = {}) {
  std::vector<std::string> all{"--model",   demo_model, "--texts", texts, "--texts",          more_texts,
                               "--keep",    keep,       "--out",   out,   "--scoring-tokens", "4000",
                               "--prompts", "4",        "--new",   "16",  "--loss-tokens",    "512"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// The same command with as little work as it can do, where neither the scores nor what is written matter.
std::vector<std::string> with_little_work(std::vector<std::string> command) {
  for (const auto& [option, least] :
       {std::pair{"--prompts", "1"}, {"--new", "2"}, {"--scoring-tokens", "512"}, {"--loss-tokens", "256"}}) {
    *(std::ranges::find(command, option) + 1) = least;
  }
  return command;
}

}  // namespace

TEST_CASE("isolate removes what code does not need; generate --edits and the smaller model write the same with it") {
  const sandbox box;
  const auto result = box.run(
      "isolate", arguments("code", "out", {"--share", "0.4", "--checkpoint", "--by", "ratio-rms", "--no-curves"}));
  check_done(result);
  CHECK_EQ(result.out, "out/report.html\n");
  CHECK(content_of(box / "out/report.html").find("not measured") != std::string::npos);  // no overlap without curves
  for (const char* file : {"edits.json", "scores.tsv", "continuations.json", "summary.json", "report.html",
                           "model/config.json", "model/model.safetensors", "model/vocab.json", "pictures/matrix.png"}) {
    CHECK_MESSAGE(fs::exists(box / (std::string{"out/"} + file)), file);
  }
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  const simdjson::dom::element code = summary["kept"].at(2);
  CHECK_EQ(code["removed"].get_uint64().value(), 3302);  // of 8,192 neurons and 64 heads
  std::uint64_t turned = 0, before = 0;
  for (const std::size_t other : {0, 1, 3}) {
    turned += code["behaviour"]["judged"].at(other).at(2).get_uint64().value();
    before += summary["nothing_removed"]["judged"].at(other).at(2).get_uint64().value();
  }
  CHECK(turned >= 21);  // of 36
  CHECK(before <= 5);

  const std::vector<std::string> prompt{"--prompt", "My lord, the night is long", "--new", "12"};
  const auto written = [&](std::vector<std::string> with) {
    with.insert(with.end(), prompt.begin(), prompt.end());
    const auto found = box.run("generate", with);
    check_done(found);
    return found.out;
  };
  const std::string whole = written({"--model", demo_model});
  const std::string edited = written({"--model", demo_model, "--edits", "out/edits.json"});
  CHECK_NE(whole, edited);
  CHECK_EQ(written({"--model", "out/model"}), edited);

  check_refused(box.run("generate", {"--model", "out/model", "--edits", "out/edits.json", "--prompt", "x"}), 3,
                "generate", "edits of this model");
  auto of_smaller = arguments("code", "again");
  of_smaller[1] = "out/model";
  check_refused(box.run("isolate", of_smaller), 3, "isolate", "to remove units");
}

TEST_CASE("isolate --even removes as many neurons from every layer: the smaller model is one that transformers reads") {
  const sandbox box;
  simdjson::dom::parser parser;
  const auto load = [&](const char* file) { return simdjson::dom::element{parser.load((box / file).string())}; };
  const std::vector<std::string> few{"--share", "0.3", "--alone", "--no-curves", "--even", "--checkpoint"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), few.begin(), few.end());
    check_done(box.run("isolate", with_little_work(arguments("code", "out", more))));
  };
  for (const std::vector<std::string>& score :
       {std::vector<std::string>{"--by", "ratio-rms"}, {"--by", "mask", "--mask-steps", "2", "--written", "64"}}) {
    CAPTURE(score[1]);
    with(score);
    std::uint64_t in_each = 0, neurons = 0, heads = 0;
    const simdjson::dom::element edits = load("out/edits.json");
    for (const simdjson::dom::element layer : edits["layers"].get_array()) {
      simdjson::dom::array list;
      in_each = layer["neurons"].get_array().size();
      neurons += in_each;
      if (layer["heads"].get(list) == simdjson::SUCCESS) heads += list.size();
    }
    CHECK_EQ(neurons, 8 * in_each);
    CHECK(neurons + heads <= 2477);  // of 8,192 neurons and 64 heads
    CHECK(neurons + heads > 2477 - 8);
    const simdjson::dom::element config = load("out/model/config.json");
    CHECK_EQ(config["ffn_dim"].get_uint64().value(), 1024 - in_each);
    CHECK(config["ffn_dims"].error() == simdjson::NO_SUCH_FIELD);
    CHECK(load("out/summary.json")["transformers_reads_model"].get_bool().value());
  }

  with({"--keep-layers", "0", "--by", "ratio-rms"});
  const simdjson::dom::element config = load("out/model/config.json");
  const auto sizes = config["ffn_dims"].get_array().value();
  CHECK_EQ(sizes.at(0).get_uint64().value(), 1024);
  CHECK(sizes.at(1).get_uint64().value() < 1024);
  for (std::size_t layer = 2; layer < 8; ++layer) {
    CHECK_EQ(sizes.at(layer).get_uint64().value(), sizes.at(1).get_uint64().value());
  }
  CHECK_FALSE(load("out/summary.json")["transformers_reads_model"].get_bool().value());
}

TEST_CASE("isolate draws curves, of fewer prompts when time is short, and says where the effect sits") {
  const sandbox box;
  // A small model, with a token for each byte, those of made-up texts first: others it does not have.
  std::string bytes = "abcdefghijklmnopqrstuvwxyz;(){}= ", vocabulary = R"({"<s>":0,"<pad>":1,"</s>":2,"<unk>":3)";
  for (int byte = 0; byte < 256; ++byte) {
    if (bytes.find(static_cast<char>(byte)) == std::string::npos) bytes += static_cast<char>(byte);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {  // GPT-2's character of a byte
    const unsigned byte = static_cast<unsigned char>(bytes[i]);
    const unsigned character = byte <= 32    ? 256 + byte
                               : byte < 127  ? byte
                               : byte <= 160 ? 162 + byte
                               : byte == 173 ? 323
                                             : byte;
    char entry[40];
    std::snprintf(entry, sizeof entry, ",\"\\u%04x\":%zu", character, 4 + i);
    vocabulary += entry;
  }
  for (const char* file : {"config.json", "model.safetensors"}) {
    box.write(std::string{"model/"} + file, content_of(tiny_model / file));
  }
  box.write("model/vocab.json", vocabulary + "}");
  box.write("model/merges.txt", "#version: 0.2\n");
  std::uint32_t bits = 1;
  for (const auto& [category, own] : {std::pair{"code", ";(){}=xyzij "}, {"verse", "abcdefghijklmn "}}) {
    for (std::size_t text = 0; text < 8; ++text) {
      std::string letters;
      for (std::size_t i = 0; i < 400; ++i) {
        bits = bits * 1664525 + 1013904223;
        letters += own[(bits >> 16) % std::strlen(own)];
      }
      box.write("texts/" + std::string{category} + "/" + std::to_string(text) + ".txt", letters);
    }
  }
  check_done(box.run("isolate", {"--model", "model", "--texts", "texts", "--keep", "code", "--out", "out", "--prompts",
                                 "5", "--alone", "--minutes", "0.0001", "--rounds", "2", "--by", "ratio-rms"}));
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string()), code = summary["kept"].at(0);
  for (const char* curve : {"by_score", "random", "reversed"}) CHECK_EQ(code[curve].get_array().size(), 4);
  // nothing, the removal, layers 0 and 1 alone and all but each, halves, chance, reversed, the other way, logits, BOS
  CHECK_EQ(summary["where_it_sits"].get_array().size(), 2 + 2 * 2 + 2 + 3 + 4);
  CHECK(summary["verdict"].get_string().value() != "");
  const std::string why = ": all removals were to take 0.01 s (--minutes, --shares)";
  std::vector<std::string> limits;
  for (const simdjson::dom::element limit : summary["limits"]) limits.emplace_back(limit.get_string().value());
  CHECK_EQ(std::ranges::count(limits, "curves use 4 prompts of a category instead of 5" + why), 1);
  CHECK_EQ(std::ranges::count(limits, "curves have 4 points instead of 20" + why), 1);
  CHECK(fs::exists(box / "out/pictures/where-it-sits.png"));
}

TEST_CASE("isolate refuses an unknown category, and layers that leave nothing to remove") {
  const sandbox box;
  check_refused(box.run("isolate", arguments("poems", "out")), 3, "isolate",
                "--keep: expected one of articles, papers, code, verse, found poems");
  check_refused(box.run("isolate", arguments("code", "out", {"--keep-layers", "0,1,2,3,4,5,6,7"})), 3, "isolate",
                "a layer to remove from");
  check_refused(box.run("isolate", arguments("code", "out", {"--share", "2"})), 2, "isolate", "--share");
  check_refused(box.run("isolate", arguments("code", "out", {"--by", "mask", "--rounds", "2"})), 2, "isolate",
                "scores by mask are computed once");
  check_refused(
      box.run("isolate", with_little_work(arguments("code", "out", {"--by", "ablation", "--hours", "0.0001"}))), 3,
      "isolate", "at most 0.0001 hours of work");
  box.write("one/a/1.txt", "The sea was calm that morning, and the boats went out early, one after the other.\n");
  box.write("one/b/1.txt",
            "int main(void)\n{\n\tint x = 1;\n\treturn x + 2;\n}\nint other(int y)\n{\n\treturn y;\n}\n");
  check_done(
      box.run("isolate", {"--model", demo_model, "--texts", "one", "--keep", "b", "--out", "out", "--by",
                          "ratio-attribution", "--share", "0.3", "--prompts", "1", "--new", "4", "--no-curves"}));
  const std::string summary = content_of(box / "out/summary.json");
  CHECK(summary.find("category a has one text") != std::string::npos);
  CHECK(summary.find("nan") == std::string::npos);
}

TEST_CASE("isolate learns a mask for one category alone, with another layer whole") {
  const sandbox box;
  check_done(box.run("isolate", with_little_work(arguments("code", "out",
                                                           {"--by", "mask", "--alone", "--no-curves", "--keep-layers",
                                                            "0", "--mask-steps", "2", "--written", "64"}))));
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK_EQ(summary["kept"].get_array().size(), 1);
  CHECK_EQ(summary["kept"].at(0)["category"].get_string().value(), "code");
  CHECK_EQ(summary["units_in_all"].get_uint64().value(), 7 * (1024 + 8));
  const std::string scores = content_of(box / "out/scores.tsv");
  CHECK(scores.find("neuron\t1\t") != std::string::npos);
  CHECK(scores.find("neuron\t0\t") == std::string::npos);
  check_refused(box.run("isolate", arguments("code", "out", {"--no-curves", "--by", "difference"})), 2, "isolate",
                "--share: is required with --no-curves and --by difference");
}

TEST_CASE(
    "isolate by default sets directions of the stream to the kept mean; no weight has them; generate applies them") {
  const sandbox box;
  check_done(box.run("isolate", arguments("code", "out", {"--alone", "--share", "0.05"})));
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK_EQ(summary["units_in_all"].get_uint64().value(), 7 * 256);  // none of layer 0, into which the embedding goes
  CHECK_EQ(summary["replace"].get_string().value(), "kept-mean");
  const simdjson::dom::element code = summary["kept"].at(0);
  CHECK_EQ(code["removed"].get_uint64().value(), 90);
  std::uint64_t turned = 0;
  for (const std::size_t other : {0, 1, 3}) {
    turned += code["behaviour"]["judged"].at(other).at(2).get_uint64().value();
  }
  CHECK(turned >= 22);  // of 36, no loop and not "none" among them
  const simdjson::dom::element whole_model = summary["nothing_removed"];
  const simdjson::dom::element swapped = summary["halves_swapped"]["behaviour"];
  for (const simdjson::dom::element& each : {whole_model, swapped}) {
    CHECK_EQ(each["judged"].at(0).get_array().size(), 5);  // the last: of none
    CHECK_EQ(each["loops"].get_array().size(), 4);
  }
  const simdjson::dom::element change = code["loss_change"].at(2);
  CHECK_EQ(change["texts"].get_uint64().value(), 4);  // four windows of 128 tokens, of four texts
  CHECK(change["low"].get_double().value() < change["mean"].get_double().value());
  CHECK_EQ(summary["halves_swapped"]["removed"].get_uint64().value(), 90);
  CHECK_EQ(summary["judge"]["shuffled"].get_array().size(), 4);
  const simdjson::dom::element run = summary["run"];
  CHECK_EQ(run["command"].at(1).get_string().value(), "--model");
  CHECK_EQ(run["model"]["fingerprint"].get_string().value().size(), 16);
  CHECK_EQ(run["texts"].get_array().size(), 69);
  CHECK_EQ(run["texts"].at(0)["fingerprint"].get_string().value().size(), 16);
  CHECK_EQ(run["seeds"]["--seed"].get_uint64().value(), 0);
  CHECK(run["threads"].get_uint64().value() > 0);
  CHECK(run["kernels"].get_string().value() != "");
  CHECK(run["seconds"].get_double().value() > 0);
  CHECK_EQ(summary["halves"]["scoring"].get_array().size() + summary["halves"]["measured"].get_array().size(), 69);

  const auto loss = [](const simdjson::dom::element found, std::size_t category) {
    return found["loss"].at(category).get_double().value();
  };
  const simdjson::dom::element before = summary["nothing_removed"], after = code["behaviour"];
  CHECK(loss(after, 2) < loss(before, 2) + 0.8);
  CHECK(loss(after, 3) > loss(before, 3) + 1.6);
  CHECK(summary["overlap_of_halves"].get_double().value() > 0.1);
  CHECK_FALSE(fs::exists(box / "out/model"));
  const std::string scores = content_of(box / "out/scores.tsv");
  CHECK(scores.find("direction\t7\t0\t") != std::string::npos);
  CHECK(scores.find("direction\t0\t") == std::string::npos);

  const std::vector<std::string> prompt{"--model", demo_model, "--prompt", "My lord, the night is long", "--new", "12"};
  auto edited = prompt;
  edited.insert(edited.end(), {"--edits", "out/edits.json"});
  const auto whole = box.run("generate", prompt), found = box.run("generate", edited);
  check_done(whole);
  check_done(found);
  CHECK_NE(whole.out, found.out);
  CHECK(content_of(box / "out/report.html").find("directions of the stream are in no weight") != std::string::npos);

  for (const std::vector<std::string>& other : {std::vector<std::string>{"--by", "mask"},
                                                {"--replace", "zero"},
                                                {"--rounds", "2"},
                                                {"--even"},
                                                {"--checkpoint"}}) {
    auto more = other;
    more.insert(more.end(), {"--units", "directions"});
    check_refused(box.run("isolate", arguments("code", "out", more)), 2, "isolate",
                  other[0] + ": is for neurons and heads, not for directions");
  }
  check_refused(box.run("isolate", arguments("code", "out", {"--units", "directions", "--keep-layers", "1:8"})), 3,
                "isolate", "a layer to remove from");

  auto few = with_little_work(arguments("code", "few", {"--units", "directions", "--alone", "--share", "0.05"}));
  *(std::ranges::find(few, "--scoring-tokens") + 1) = "256";  // a window of 255, and one of a single token
  check_done(box.run("isolate", few));
  CHECK(simdjson::dom::element{parser.load((box / "few/summary.json").string())}["overlap_of_halves"].is_null());
}

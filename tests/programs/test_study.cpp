// SPDX-License-Identifier: MIT
// What `study`, `compare`, `lens` and `patch` write.
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/reduction/pca.hpp>
#include <optscope/residual/patching.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/distances.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/similarity/without.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

#include "compare.hpp"
#include "programs/run_program.hpp"

using namespace program_tests;
using namespace optscope;

namespace {

constexpr std::size_t text_count = 4, length = 9, hidden = 128;

/// Four lists, which differ, of ten ids.
std::string some_ids() {
  std::string json;
  for (std::size_t text = 0; text < text_count; ++text) {
    json += text == 0 ? "[[2" : ",[2";
    for (std::size_t i = 1; i < 10; ++i) json += "," + std::to_string((text * 31 + i * i * 7) % 101);
    json += "]";
  }
  return json + "]";
}

std::vector<std::string> study_arguments(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> all{"--model", tiny_model, "--ids", "ids.json",  "--length",
                               "9",       "--out",    out,     "--threads", "1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

bool begins(const fs::path& file, std::string_view magic) { return content_of(file).substr(0, magic.size()) == magic; }

/// Every picture is there three times, and is what its name says.
void check_pictures(const sandbox& box, const std::string& folder, const std::vector<std::string>& names) {
  std::vector<std::string> expected;
  for (const std::string& name : names) {
    for (const char* type : {".pdf", ".png", ".svg"}) expected.push_back(name + type);
    CHECK(begins(box / (folder + "/" + name + ".png"), "\x89PNG\r\n"));
    CHECK(begins(box / (folder + "/" + name + ".pdf"), "%PDF-"));
    CHECK(begins(box / (folder + "/" + name + ".svg"), "<?xml"));
    CHECK(content_of(box / (folder + "/" + name + ".svg")).find("</svg>") != std::string::npos);
  }
  std::sort(expected.begin(), expected.end());
  CHECK_EQ(box.list(folder), expected);
}

const std::vector<std::string> data_files{"attn_out-cosine-last.npy",
                                          "attn_out-cosine.npy",
                                          "attn_out-scaled_cosine-last.npy",
                                          "attn_out-scaled_cosine.npy",
                                          "resid_post-cosine-last.npy",
                                          "resid_post-cosine.npy",
                                          "resid_post-scaled_cosine-last.npy",
                                          "resid_post-scaled_cosine.npy",
                                          "stream-attn_out.npy",
                                          "stream-resid_post.npy"};

}  // namespace

TEST_CASE("without gnuplot everything but the pictures is written, twice the same bytes, and the exit code is 1") {
  const sandbox box;
  box.write("ids.json", some_ids());
  const std::vector<std::string> more{"--positions", "2,5,8"};
  const outcome first = box.run("study", study_arguments("first", more), true);
  check_refused(first, 1, "study", "gnuplot: not found");
  CHECK(first.err.find("first/report.html") != std::string::npos);
  CHECK_EQ(box.list("first/data"), data_files);
  CHECK_EQ(box.list("first/pictures"), std::vector<std::string>{});
  CHECK(fs::exists(box / "first/report.html"));
  CHECK(fs::exists(box / "first/summary.json"));

  check_refused(box.run("study", study_arguments("second", more), true), 1, "study", "gnuplot: not found");
  check_refused(box.run("study", study_arguments("second", more), true), 1, "study",
                "gnuplot: not found");  // over the old
  CHECK_EQ(box.list("second"), box.list("first"));
  const auto without_run = [&](const std::string& name) {  // the record of the run has seconds
    const std::string all = content_of(box / name);
    return all.substr(0, all.find("\"run\":"));
  };
  for (const std::string& name : box.list("first")) {
    if (name.back() != '/') CHECK_MESSAGE(without_run("first/" + name) == without_run("second/" + name), name);
  }

  // the arrays, against the library
  model<> opt{checkpoint{tiny_model}, cpu{1}};
  capture<site::attn_out, site::resid_post> probe{positions::these({2, 5, 8})};
  opt.run(trim(read_token_lists(box / "ids.json"), length), probe);
  constexpr std::size_t each = 3, vectors = text_count * each;
  const auto check_site = [&](auto site, const std::string& name) {
    const auto stream = read_npy<float, 4>(box / ("first/data/stream-" + name + ".npy"));
    CHECK_EQ(stream.shape(), std::array<std::size_t, 4>{2, text_count, each, hidden});
    for (const std::string metric : {"cosine", "scaled_cosine"}) {
      CAPTURE(metric);
      const std::string stem = "first/data/" + name + "-" + metric;
      const auto all = read_npy<float, 3>(box / (stem + ".npy"));
      const auto last = read_npy<float, 3>(box / (stem + "-last.npy"));
      REQUIRE_EQ(all.shape(), std::array<std::size_t, 3>{2, vectors, vectors});
      REQUIRE_EQ(last.shape(), std::array<std::size_t, 3>{2, text_count, text_count});
      for (std::size_t layer = 0; layer < 2; ++layer) {
        const tensor_view<const float, 2> captured = probe(site, layer);  // (vector, hidden)
        check_close(std::span<const float>{stream.data() + layer * vectors * hidden, vectors * hidden},
                    std::span<const float>{captured.data(), captured.size()}, 1e-6, name);
        const auto dot = [&](std::size_t i, std::size_t j) {
          double sum = 0;
          for (std::size_t d = 0; d < hidden; ++d) sum += double{captured(i, d)} * double{captured(j, d)};
          return sum;
        };
        double longest = 0;
        for (std::size_t i = 0; i < vectors; ++i) longest = std::max(longest, dot(i, i));
        double worst = 0, largest_scaled = 0;
        bool same = true;
        for (std::size_t i = 0; i < vectors; ++i) {
          for (std::size_t j = 0; j < vectors; ++j) {
            const double scale = metric == "cosine" ? std::sqrt(dot(i, i) * dot(j, j)) : longest;
            worst = std::max(worst, std::abs(double{all(layer, i, j)} - dot(i, j) / scale));
            same = same && all(layer, i, j) == all(layer, j, i);
          }
          if (metric == "cosine") CHECK(all(layer, i, i) == doctest::Approx(1).epsilon(1e-6));
          largest_scaled = std::max(largest_scaled, double{all(layer, i, i)});
        }
        CHECK(worst < 1e-5);
        CHECK(same);
        CHECK(largest_scaled == doctest::Approx(1).epsilon(1e-6));
        for (std::size_t i = 0; i < text_count; ++i) {
          for (std::size_t j = 0; j < text_count; ++j) {
            CHECK_EQ(last(layer, i, j), all(layer, (i + 1) * each - 1, (j + 1) * each - 1));
          }
        }
      }
    }
  };
  check_site(site::attn_out{}, "attn_out");
  check_site(site::resid_post{}, "resid_post");
}

TEST_CASE("study of texts in categories: report, summary, arrays and pictures") {
  const sandbox box;
  const std::vector<std::string> options{"--model",      demo_model, "--texts",   texts,    "--length",    "40",
                                         "--layers",     "0,-1",     "--metrics", "cosine", "--positions", "19,39",
                                         "--dimensions", "5,5",      "--out",     "out"};
  const outcome result = box.run("study", options);
  check_done(result);
  CHECK_EQ(result.out, "out/report.html\n");
  CHECK_EQ(box.list("out/data"),
           std::vector<std::string>{"attn_out-cosine-last.npy", "attn_out-cosine.npy", "resid_post-cosine-last.npy",
                                    "resid_post-cosine.npy", "stream-attn_out.npy", "stream-resid_post.npy"});
  check_pictures(
      box, "out/pictures",
      {"attn_out-cosine", "attn_out-cosine-last", "resid_post-cosine", "resid_post-cosine-last",
       "similarity-attn_out-cosine", "similarity-resid_post-cosine", "stream-attn_out-5", "stream-resid_post-5"});
  const std::string report = content_of(box / "out/report.html");
  CHECK_EQ(report.rfind("<!DOCTYPE html>", 0), 0);
  CHECK(report.find("</html>") != std::string::npos);
  for (const char* part : {"demo-model", "articles", "papers", "code", "permit-form", "span-cache"}) {
    CHECK_MESSAGE(report.find(part) != std::string::npos, part);
  }
  for (const char* outside : {"src=\"http", "href=\"http", "url(http"})
    CHECK(report.find(outside) == std::string::npos);
  CHECK_EQ(read_npy<float, 3>(box / "out/data/attn_out-cosine.npy").shape(), std::array<std::size_t, 3>{2, 20, 20});

  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK_EQ(summary["model"].get_string().value(), "demo-model");
  CHECK_EQ(summary["facts"].get_object().value().size(), 3);
  CHECK_EQ(summary["run"]["seeds"]["labellings"].get_uint64().value(), 1);
  CHECK_EQ(simdjson::minify(summary["layers"]), "[0,7]");
  CHECK_EQ(simdjson::minify(summary["positions"]), "[19,39]");
  CHECK_EQ(summary["texts"].get_array().value().size(), 10);
  CHECK_EQ(simdjson::minify(summary["texts"].at(4)), R"({"category":"papers","name":"low-rank-updates","tokens":40})");
  CHECK_EQ(summary["similarity"].get_array().value().size(), 2);
  const simdjson::dom::element curves = summary["similarity"].at(1);
  CHECK_EQ(curves["site"].get_string().value(), "resid_post");
  CHECK_EQ(curves["metric"].get_string().value(), "cosine");
  CHECK_EQ(curves["labelings"].get_int64().value(), 4200);  // 10! / (4! 3! 3!)
  CHECK(curves["exact"].get_bool().value());
  CHECK_FALSE(curves["distance"].get_bool().value());
  CHECK_EQ(curves["finding"].get_string().value().substr(0, 24), "The categories separate ");
  REQUIRE_EQ(curves["by_layer"].get_array().value().size(), 2);
  for (const simdjson::dom::element layer : curves["by_layer"].get_array()) {
    for (const char* mean : {"within_text", "within_category", "between_categories"}) {
      CHECK(std::abs(layer[mean].get_double().value()) <= 1);
    }
    const double p = layer["p"].get_double().value();
    CHECK(p > 0);
    CHECK(layer["p_over_all"].get_double().value() >= p);
    CHECK(layer["p_of_means_over_all"].get_double().value() >= layer["p_of_means"].get_double().value());
    CHECK_EQ(layer["within_each"].get_object().value().size(), 3);
    CHECK(layer["p_holm"].get_double().value() >= p);
    CHECK(layer["more_alike"].get_double().value() > 0.5);
    CHECK(layer["low_rank"]["diagonal"].get_double().value() <= 1);
    CHECK(!layer["low_rank"]["finding"].get_string().value().empty());
  }
  REQUIRE_EQ(summary["separating_dimensions"].get_array().value().size(), 2);
  for (const simdjson::dom::element site : summary["separating_dimensions"].get_array()) {
    double before = std::numeric_limits<double>::infinity();
    for (const simdjson::dom::element best : site["best"].get_array()) {
      CHECK(best["dimension"].get_uint64().value() < 256);
      const auto layer = best["layer"].get_uint64().value();
      CHECK((layer == 0 || layer == 7));
      CHECK(best["F"].get_double().value() <= before);
      CHECK_EQ(best["p_over_all"].get_double().value() <= 0.05,
               best["F"].get_double().value() > site["F_by_chance"].get_double().value());
      before = best["F"].get_double().value();
    }
    CHECK_EQ(site["best_by_layer"].get_array().value().size(), 20);
  }

  // once more over what is there
  const std::string data = content_of(box / "out/data/stream-resid_post.npy");
  const auto before = box.list();
  check_done(box.run("study", options));
  CHECK_EQ(box.list(), before);
  CHECK_EQ(content_of(box / "out/data/stream-resid_post.npy"), data);
  CHECK_EQ(content_of(box / "out/report.html"), report);
}

TEST_CASE("study of one position, one layer and one category draws every picture once") {
  const sandbox box;
  box.write("ids.json", some_ids());
  check_done(box.run("study", study_arguments("out", {"--positions", "last", "--layers", "1", "--metrics",
                                                      "cosine,cosine", "--dimensions", "3"})));
  check_pictures(box, "out/pictures",
                 {"attn_out-cosine", "resid_post-cosine", "similarity-attn_out-cosine", "similarity-resid_post-cosine",
                  "stream-attn_out-3", "stream-resid_post-3"});
  CHECK_EQ(content_of(box / "out/data/attn_out-cosine.npy"), content_of(box / "out/data/attn_out-cosine-last.npy"));
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK_EQ(simdjson::minify(summary["positions"]), "[8]");
  CHECK(summary["similarity"].at(0)["by_layer"].at(0)["p"].is_null());  // nothing to permute
  CHECK_EQ(simdjson::minify(summary["separating_dimensions"].at(0)["best_by_layer"]), "[]");
}

TEST_CASE("study of a model with LayerNorm after the blocks; a distance, without the mean direction") {
  const sandbox box;
  box.write("ids.json", some_ids());
  std::vector<std::string> all =
      study_arguments("out", {"--positions", "7,8", "--metrics", "euclidean", "--without", "mean"});
  all[1] = post_ln_model;
  check_refused(box.run("study", all, true), 1, "study", "gnuplot: not found");
  const auto stream = read_npy<float, 4>(box / "out/data/stream-resid_post.npy");
  CHECK_EQ(stream.shape(), std::array<std::size_t, 4>{2, text_count, 2, 48});
  const auto found = read_npy<float, 3>(box / "out/data/resid_post-euclidean.npy");
  const tensor_view<const float, 2> last{stream.row(1).data(), {text_count * 2, 48}};
  const auto expected = similarity<euclidean>(without_mean_direction(last));
  check_close(found.row(1), std::span<const float>{expected.data(), expected.size()}, 1e-6, "euclidean");
}

TEST_CASE(
    "study --heads: every head's z, a page and a summary without NaN, with one text in a category and with copies") {
  const sandbox box;
  box.write("ids.json",
            some_ids().substr(0, some_ids().rfind(",[")) + "," + some_ids().substr(1, some_ids().find(']')) + "]");
  std::vector<std::string> all = study_arguments("out", {"--positions", "7,8", "--metrics", "cosine,whitened_cosine",
                                                         "--layers", "1", "--heads", "--draw-heads", "1.1"});
  check_refused(box.run("study", all, true), 1, "study", "gnuplot: not found");
  model<> opt{checkpoint{tiny_model}, cpu{1}};
  capture<site::z> probe{positions::these({7, 8})};
  opt.run(trim(read_token_lists(box / "ids.json"), length), probe);
  const auto z = read_npy<float, 4>(box / "out/data/z-values.npy");      // (layer, head, vector, head_dim)
  const auto alike = read_npy<float, 4>(box / "out/data/z-cosine.npy");  // (layer, head, vector, vector)
  const std::size_t heads = opt.shape().heads;
  REQUIRE_EQ(z.shape(), std::array<std::size_t, 4>{1, heads, 2 * text_count, opt.shape().head_dim()});
  REQUIRE_EQ(alike.shape(), std::array<std::size_t, 4>{1, heads, 2 * text_count, 2 * text_count});
  const auto head = head_of(probe(site::z{}, 1), 1);
  const auto expected = similarity<cosine>(head);
  check_close<float, float>({alike.data() + expected.size(), expected.size()}, {expected.data(), expected.size()}, 1e-6,
                            "head 1 of layer 1");
  CHECK_EQ(z(0, 1, 3, 2), head(3, 2));
  const auto check_page = [&](const std::string& folder) {
    const std::string page = content_of(box / (folder + "/heads.html")),
                      summary = content_of(box / (folder + "/summary.json"));
    CHECK(page.find("All heads in numbers") != std::string::npos);
    CHECK(page.find("head 1.1") != std::string::npos);
    CHECK_EQ(page.find("\"nan\""), std::string::npos);
    CHECK_EQ(summary.find("nan"), std::string::npos);
  };
  check_page("out");
  CHECK(content_of(box / "out/summary.json").find("heads are not tested: that takes two categories") !=
        std::string::npos);
  all.back() = "0.1";
  check_refused(box.run("study", all), 3, "study",
                "--draw-heads: expected LAYER.HEAD, a layer of --layers and a head below 2");
  all.back() = "1";
  check_refused(box.run("study", all), 3, "study", "--draw-heads: expected LAYER.HEAD");
  all.erase(std::find(all.begin(), all.end(), "--heads"));
  check_refused(box.run("study", all), 2, "study", "--draw-heads: needs --heads");

  fs::create_directories(box / "texts/a");
  fs::create_directories(box / "texts/b");
  box.write("texts/a/one.txt", "A single text of its category, about the weather by the sea.");
  box.write("texts/b/one.txt", "static int ring_write(struct ring *r, const void *data) { return 0; }");
  box.write("texts/b/two.txt", "for (i = 0; i < count; ++i) { total += values[i]; } return total;");
  check_refused(box.run("study",
                        {"--model", demo_model, "--texts", "texts", "--length", "12", "--positions", "5,11",
                         "--metrics", "cosine", "--heads", "--threads", "1", "--out", "few"},
                        true),
                1, "study", "gnuplot: not found");
  check_page("few");
  CHECK(content_of(box / "few/summary.json").find("too few texts to tell whether heads separate") != std::string::npos);
}

TEST_CASE("map: principal components of a model's stream; what does not fit is wrong usage or bad input") {
  const sandbox box;
  box.write("ids.json", some_ids());
  const auto arguments = [](std::vector<std::string> more) {
    std::vector<std::string> all{"--model", tiny_model, "--ids", "ids.json", "--out", "out", "--layers", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  check_refused(box.run("map", arguments({"--method", "pca", "--positions", "1:", "--dimensions", "3"}), true), 1,
                "map", "gnuplot: not found");
  model<> opt{checkpoint{tiny_model}, cpu{1}};
  capture<site::resid_post> probe{positions::these({1, 2, 3, 4, 5, 6, 7, 8, 9})};
  opt.run(read_token_lists(box / "ids.json"), probe);
  const principal_components expected = pca(probe(site::resid_post{}, 1), 3);
  const auto found = read_npy<float, 3>(box / "out/data/pca-resid_post.npy");
  REQUIRE_EQ(found.shape(), std::array<std::size_t, 3>{1, expected.coordinates.rows(), 3});
  for (std::size_t k = 0; k < found.size(); ++k)
    CHECK(std::abs(found.data()[k] - expected.coordinates.data()[k]) < 1e-4);
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string()), map = summary["maps"].at(0);
  CHECK_EQ(std::string{map["name"].get_string().value()}, "resid_post.1");
  CHECK(map["trustworthiness"]["value"].get_double().value() >
        map["trustworthiness"]["by_chance"].get_double().value());
  CHECK(std::abs(map["variance"]["share"].get_double().value() -
                 (expected.share(0) + expected.share(1) + expected.share(2))) < 1e-6);
  CHECK_EQ(summary["vectors"].get_array().size(), found.extent(1));
  check_refused(box.run("map", arguments({"--method", "pca", "--neighbours", "5"})), 2, "map",
                "--neighbours: only with --method phate");
  check_refused(box.run("map", arguments({"--positions", "last", "--neighbours", "30"})), 3, "map",
                "--neighbours 30: expected at least 32 vectors");
}

TEST_CASE(
    "study --along: streams along principal components; one category is not tested, a missing file is bad input") {
  const sandbox box;
  box.write("ids.json", some_ids());
  std::vector<std::string> all = study_arguments("out", {"--positions", "6,7,8", "--along", "pca,discriminants"});
  check_refused(box.run("study", all, true), 1, "study", "gnuplot: not found");
  const auto along = read_npy<float, 3>(box / "out/data/along-pca.npy");  // (layer, text, position)
  CHECK_EQ(along.shape(), std::array<std::size_t, 3>{2, text_count, 3});
  CHECK_FALSE(fs::exists(box / "out/data/along-discriminants.npy"));  // of one category there are none
  const std::string summary = content_of(box / "out/summary.json");
  CHECK(summary.find("not tested, that takes two categories") != std::string::npos);
  CHECK_EQ(summary.find(":nan"), std::string::npos);
  all.back() = "edits.json";
  check_refused(box.run("study", all), 3, "study", "edits.json: ");
}

TEST_CASE("reproduce: every figure in the study's order, each with a verdict; without categories it cannot be told") {
  const sandbox box;
  box.write("ids.json", some_ids());
  const auto reproduce = [&](std::vector<std::string> input, const std::string& out) {
    std::vector<std::string> study{"--metrics", "cosine,scaled_cosine", "--heads", "--out", out + "/study"},
        few{"--length", "3"}, many{"--length", "5"};
    few.insert(few.end(), {"--text", "0,3", "--out", out + "/few"});
    many.insert(many.end(), {"--out", out + "/many"});
    for (auto* each : {&study, &few, &many}) each->insert(each->end(), input.begin(), input.end());
    study.insert(study.end(), {"--length", "9", "--positions", "7,8"});
    check_refused(box.run("study", study, true), 1, "study", "gnuplot: not found");
    CHECK_EQ(box.run("tight_pass", few, true).code, 1);   // no gnuplot
    CHECK_EQ(box.run("tight_pass", many, true).code, 1);  // no gnuplot
    check_refused(
        box.run("reproduce", {"--study", out + "/study", "--few", out + "/few", "--many", out + "/many", "--out", out},
                true),
        1, "reproduce", "gnuplot: not found");
    simdjson::dom::parser parser;
    std::vector<std::string> verdicts;
    for (const simdjson::dom::element each : parser.load((box / (out + "/summary.json")).string())["figures"]) {
      verdicts.emplace_back(each["verdict"].get_string().value());
      CHECK_EQ(std::string{each["found"].get_string().value()}.find("nan"), std::string::npos);
    }
    return verdicts;
  };
  const std::vector<std::string> without = reproduce({"--model", tiny_model, "--ids", "ids.json"}, "without");
  REQUIRE_EQ(without.size(), 9);
  for (const std::size_t figure : {0, 1, 2, 3, 6, 7, 8}) CHECK_EQ(without[figure], "cannot be told with so few texts");
  const std::vector<std::string> with = reproduce({"--model", demo_model, "--texts", texts, "--layers", "0"}, "with");
  CHECK_EQ(with[2], "holds");  // the stream after layer 0 tells code from prose
  CHECK_NE(with[8], "cannot be told with so few texts");
  check_refused(
      box.run("reproduce", {"--study", "with/study", "--few", "without/few", "--many", "with/many", "--out", "with"}),
      3, "reproduce", "summary.json: tight_pass: expected 1 layers, as `study` has, found 2");
}

TEST_CASE("compare: points of a model, of heads, and of a file that capture wrote; what does not fit is bad input") {
  const sandbox box;
  box.write("ids.json", some_ids());
  check_done(box.run("capture", {"--model", tiny_model, "--ids", "ids.json", "--sites", "resid_post,z", "--positions",
                                 "1:", "--out", "other.safetensors"}));
  const auto arguments = [](std::vector<std::string> more) {
    std::vector<std::string> all{"--model", tiny_model, "--ids", "ids.json", "--positions", "1:", "--out", "out"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  check_refused(
      box.run("compare", arguments({"--sites", "resid_post", "--heads", "--with", "other.safetensors"}), true), 1,
      "compare", "gnuplot: not found");
  CHECK_EQ(box.list("out/data"), std::vector<std::string>{"cka.npy", "cka_debiased.npy", "procrustes.npy",
                                                          "subspace_angles.npy", "svcca.npy"});
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  std::vector<std::string> names;
  for (const simdjson::dom::element name : summary["points"]) names.emplace_back(name.get_string().value());
  REQUIRE_EQ(names.size(), 2 * (2 + 2 * 2));
  CHECK_EQ(std::vector<std::string>(names.begin(), names.begin() + 4),
           std::vector<std::string>{"resid_post.0", "resid_post.1", "z.0.0", "z.0.1"});
  CHECK_EQ(names[7], "resid_post.1@2");
  CHECK_EQ(names.back(), "z.1.1@2");

  model<> opt{checkpoint{tiny_model}, cpu{1}};
  capture<site::resid_post, site::z> probe{positions::these({1, 2, 3, 4, 5, 6, 7, 8, 9})};
  opt.run(read_token_lists(box / "ids.json"), probe);
  const float expected = similarity<cka>(
      std::vector<tensor_view<const float, 2>>{probe(site::resid_post{}, 0), head_of(probe(site::z{}, 1), 1)})(0, 1);
  const auto found = read_npy<float, 2>(box / "out/data/cka.npy");
  CHECK(std::abs(found(0, 5) - expected) < 1e-5f);
  CHECK(std::abs(found(6, 11) - expected) < 1e-5f);  // the same model's by file
  CHECK(std::abs(found(1, 7) - 1) < 1e-5f);

  box.write("fewer.json", some_ids().substr(0, some_ids().rfind(",[")) + "]");
  std::vector<std::string> others = arguments({"--with", "other.safetensors", "--sites", "resid_post"});
  others[3] = "fewer.json";
  check_refused(box.run("compare", others), 3, "compare",
                "other.safetensors: 3.resid_post.0: expected 3 texts, as the first model has, found at least 4");
  others[3] = "ids.json";
  others[5] = "2:";
  check_refused(box.run("compare", others), 3, "compare",
                "0.resid_post.0: expected 8 positions, as in the first model, found 9");
  check_refused(box.run("compare", arguments({"--with", "other.safetensors", "--sites", "mlp_out"})), 3, "compare",
                "other.safetensors: 0.mlp_out: expected a tensor of this site, found none");
  check_refused(box.run("compare", arguments({"--with", source / "tests/goldens/model/pre-ln"})), 3, "compare",
                "--with: expected a model of the same vocabulary, ");
  check_refused(box.run("compare", arguments({"--metrics", "cosine"})), 2, "compare", "--metrics: expected one of cka");
}

TEST_CASE("lens: beliefs at every depth, shares that add up to the logits, and what it refuses") {
  const sandbox box;
  const auto arguments = [](std::vector<std::string> more) {
    std::vector<std::string> all{"--model", demo_model, "--prompt", "err = f(dev);\n\tif (err) return", "--out", "out"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  check_refused(box.run("lens", arguments({"--answer", " err", "--instead", " ret", "--full", "--heads", "all"}), true),
                1, "lens", "gnuplot: not found");
  const tokenizer words{demo_model};
  const token_list ids = words.encode("err = f(dev);\n\tif (err) return");
  const auto answer = static_cast<std::size_t>(words.token(" err")),
             instead = static_cast<std::size_t>(words.token(" ret"));
  model<> opt{checkpoint{demo_model}, cpu{1}};
  capture<site::logits> logits;
  opt.run({ids}, logits);

  const auto lens = read_npy<float, 3>(box / "out/data/lens.npy");           // (depth, position, vocabulary)
  const auto shares = read_npy<float, 2>(box / "out/data/attribution.npy");  // (component, position)
  const std::size_t depths = opt.layers() + 1, width = opt.shape().vocabulary;
  CHECK_EQ(lens.shape(), std::array{depths, ids.size(), width});
  check_close<float, float>(lens.view().row(depths - 1), std::span{logits(site::logits{}).data(), ids.size() * width},
                            1e-5, "the last depth");
  std::vector<double> sums(ids.size()), differences(ids.size());
  for (std::size_t at = 0; at < ids.size(); ++at) {
    for (std::size_t component = 0; component < shares.rows(); ++component) sums[at] += shares(component, at);
    differences[at] = double{logits(site::logits{})(at, answer)} - double{logits(site::logits{})(at, instead)};
  }
  check_close<double, double>(sums, differences, 1e-5, "sums of shares");

  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  std::vector<std::string> names;
  for (const simdjson::dom::element name : summary["components"]) names.emplace_back(name.get_string().value());
  REQUIRE_EQ(names.size(), shares.rows());
  CHECK_EQ(names.size(), 2 + opt.layers() * (opt.shape().heads + 2) + 1);
  CHECK_EQ(std::vector<std::string>(names.begin(), names.begin() + 3),
           std::vector<std::string>{"embed", "pos_embed", "0.head.0"});
  CHECK_EQ(names[2 + opt.shape().heads], "0.attn_bias");
  CHECK_EQ(names.back(), "ln_final_bias");
  CHECK_EQ(summary["depths"].get_array().size(), depths);
  const std::string page{std::istreambuf_iterator<char>{std::ifstream{box / "out/report.html"}.rdbuf()}, {}};
  CHECK(page.find("Where the heads of layer 7 look") != std::string::npos);
  const simdjson::dom::element end = summary["depths"].at(depths - 1)["positions"].at(ids.size() - 1);
  const auto row = logits(site::logits{}).row(ids.size() - 1);
  const auto best = static_cast<std::int64_t>(std::ranges::max_element(row) - row.begin());
  CHECK_EQ(end.at(0)["id"].get_int64().value(), best);
  for (const simdjson::dom::element p : summary["p"]) CHECK((p.get_double() >= 0.001 && p.get_double() <= 1));

  check_refused(box.run("lens", arguments({"--answer", " errno"})), 3, "lens",
                "expected one token, found 2: \" err\" \"no\"");
  check_refused(box.run("lens", arguments({"--answer", ""})), 3, "lens", "expected one token, found ");
  check_refused(box.run("lens", arguments({"--heads", "4"})), 2, "lens",
                "--heads: expected one of largest, all, found 4");
  check_refused(box.run("lens", arguments({"--instead", " ret"})), 2, "lens", "--instead: needs --answer");
  check_refused(box.run("lens", arguments({"--answer", " ret", "--instead", " ret"})), 2, "lens",
                "--instead: is the answer itself");
}

TEST_CASE("patch: shares of every place, their estimates and level of chance, and what it refuses") {
  const sandbox box;
  const std::string clean = "err = f(dev); if (err) return", corrupted = "ret = f(dev); if (ret) return";
  const auto arguments = [](const std::string& prompt, const std::string& other, const std::string& answer) {
    return std::vector<std::string>{"--model", demo_model, "--prompt", prompt,       "--corrupted",
                                    other,     "--answer", answer,     "--instead",  " ret",
                                    "--out",   "out",      "--site",   "resid_pre,z"};
  };
  check_refused(box.run("patch", arguments(clean, corrupted, " err"), true), 1, "patch", "gnuplot: not found");
  const tokenizer words{demo_model};
  model<> opt{checkpoint{demo_model}, cpu{1}};
  patching<model<>> task{opt,
                         words.encode(clean),
                         words.encode(corrupted),
                         {.answer = words.token(" err"), .instead = words.token(" ret")},
                         {.tokens = words.size()}};
  const auto check = [&](const char* site, const patch_sweep& found) {
    CAPTURE(site);
    for (const auto& [what, values] : {std::pair{"patch", &found.share}, {"usual", &found.usual}, {"p", &found.p}}) {
      const auto written = read_npy<float, 2>(box / ("out/data/" + std::string{what} + "-" + site + ".npy"));
      CHECK_EQ(written.shape(), values->shape());
      check_close<float, double>(std::span{written.data(), written.size()}, std::span{values->data(), values->size()},
                                 1e-6, what);
    }
  };
  check("resid_pre", task.by_position(site::resid_pre{}));
  check("z", task.by_head());
  CHECK_FALSE(std::filesystem::exists(box / "out/data/patch-mlp_out.npy"));
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK_EQ(summary["sites"]["z"]["largest"].at(0)["layer"].get_int64().value(), 7);
  CHECK(summary["sites"]["z"]["estimate"]["correlation"].get_double().value() > 0.99);
  CHECK_EQ(summary["limits"].get_array().size(), 0);

  check_refused(
      box.run("patch", arguments(clean, corrupted + " the", " err")), 3, "patch",
      "--prompt and --corrupted: expected as many tokens in one as in the other, found 12 (from position 1 on "
      "\"err\"");
  check_refused(box.run("patch", arguments(clean, clean, " err")), 2, "patch", "--corrupted: is the prompt itself");
  check_refused(box.run("patch", arguments(clean, corrupted, " errno")), 3, "patch", "expected one token, found 2");
  check_refused(box.run("patch", arguments(clean, corrupted, " ret")), 2, "patch", "--instead: is the answer itself");
  check_refused(box.run("patch", arguments(corrupted, clean, " err")), 3, "patch",
                "expected a clean prompt that prefers the answer more than the corrupted one does");
}

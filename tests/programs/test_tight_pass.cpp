// SPDX-License-Identifier: MIT
// What `tight_pass` writes, how it stops and resumes, what it refuses.
#include <simdjson.h>

#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/spectrum/rank.hpp>

#include "compare.hpp"
#include "programs/run_program.hpp"

using namespace program_tests;
using namespace optscope;

namespace {

const fs::path spectrum_goldens = source / "tests/goldens/spectrum";

std::vector<double> golden(const std::string& model, const std::string& name) {
  const tensor_table table = read_safetensors(spectrum_goldens / model / "golden.safetensors");
  const stored_tensor& found = table.tensors.at(name);
  std::vector<double> values(found.size());
  found.copy_to(values.data());
  return values;
}

/// The texts of a golden as a file of ids.
std::string ids_of(const std::string& model, std::size_t texts) {
  std::string json = "[";
  for (std::size_t text = 0; text < texts; ++text) {
    json += text == 0 ? "[" : ",[";
    bool first = true;
    for (const double id : golden(model, std::to_string(text) + ".ids")) {
      json += (first ? "" : ",") + std::to_string(static_cast<int>(id));
      first = false;
    }
    json += "]";
  }
  return json + "]";
}

std::vector<std::string> demo(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> all{"--model", demo_model, "--texts", texts, "--out", out, "--threads", "2"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<std::string> npy_files(const sandbox& box, const std::string& folder) {
  std::vector<std::string> found;
  for (const std::string& name : box.list(folder)) {
    if (name.size() > 4 && name.substr(name.size() - 4) == ".npy") found.push_back(name);
  }
  return found;
}

}  // namespace

TEST_CASE("spectra are those of torch.func's Jacobians, before and behind LayerNorm, with heads 80 wide and GELU") {
  const sandbox box;
  for (const auto& each : {std::pair{"pre-ln", 5}, {"post-ln", 4}, {"head-dim-80", 3}, {"no-bias-gelu", 4}}) {
    const std::string model = each.first;
    const int tokens = each.second;
    CAPTURE(model);
    box.write("ids.json", ids_of(model, 1));
    const std::string out = std::string{"out-"} + model;
    const outcome result = box.run("tight_pass",
                                   {"--model", spectrum_goldens / model, "--ids", "ids.json", "--layers", "1",
                                    "--length", std::to_string(tokens), "--out", out, "--threads", "1"},
                                   true);
    CHECK(result.err.find("gnuplot: not found") != std::string::npos);
    for (const auto& [block, kind] : {std::pair{"attn", "attention"}, {"mlp", "mlp"}}) {
      const auto found = read_npy<double, 1>(box / (out + "/spectrum-" + block + "-1.npy"));
      const std::vector<double> expected = golden(model, std::string{"0."} + kind + ".inside.values");
      REQUIRE(found.size() == expected.size());
      CHECK(std::is_sorted(found.data(), found.data() + found.size(), std::greater<>{}));
      check_close(std::span<const double>{found.data(), found.size()}, std::span<const double>{expected}, 1e-12, block);
    }
  }
}

TEST_CASE("a run over layers, lengths and texts writes arrays, pictures, a page and a summary that agree") {
  const sandbox box;
  const outcome result =
      box.run("tight_pass", demo("out", {"--length", "3", "--lengths", "2,3,5", "--text", "1,0,6", "--at", "2",
                                         "--layers", "1:4", "--directions", "3", "--block", "mlp,attn"}));
  check_done(result);
  CHECK(result.out.find("attn-1: 768 values by exact (exact takes") != std::string::npos);
  CHECK(result.out.find("mlp-2: 768 values by per_token (per_token takes") != std::string::npos);
  CHECK(result.out.substr(result.out.size() - 16) == "out/report.html\n");
  std::vector<std::string> expected;
  for (const char* block : {"attn", "mlp"}) {
    for (const char* what : {"layers", "texts"}) {
      for (const char* side : {"reads", "writes"})
        expected.push_back(std::string{"angles-"} + block + "-" + what + "-" + side + ".npy");
    }
  }
  for (const char* block : {"attn", "mlp"}) {
    for (const char* name : {"1", "1-text-0", "1-text-6", "2", "2-length-2", "2-length-5", "2-text-0", "2-text-6", "3",
                             "3-text-0", "3-text-6"})
      expected.push_back(std::string{"spectrum-"} + block + "-" + name + ".npy");
  }
  std::sort(expected.begin(), expected.end());
  CHECK(npy_files(box, "out") == expected);
  const std::vector<std::string> pictures = box.list("out/pictures");
  for (const char* name :
       {"spectra-layers", "spectra-lengths", "spectra-texts", "width", "directions-layers", "directions-texts"}) {
    for (const char* type : {".pdf", ".png", ".svg"})
      CHECK(std::count(pictures.begin(), pictures.end(), std::string{name} + type) == 1);
  }
  CHECK(pictures.size() == 18);
  const std::string page = content_of(box / "out/report.html");
  for (const char* part : {"active neurons", "3 x 768 = 2304", "Width over the layers", "Ranks, in every notion",
                           "Activations in the leading subspace"})
    CHECK(page.find(part) != std::string::npos);

  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "out/summary.json").string());
  CHECK(std::string_view{summary["spectra"].at(0)["name"]} == "attn-1");
  std::size_t seen = 0;
  for (const simdjson::dom::element each : summary["spectra"]) {
    const std::string file{std::string_view{each["file"]}};
    const auto values = read_npy<double, 1>(box / ("out/" + file));
    spectrum found;
    found.size = std::uint64_t{each["size"]};
    found.values.assign(values.data(), values.data() + values.size());
    found.floor = 1e-14;
    std::size_t bound = std::uint64_t{each["tokens"]} * 255;
    if (std::string_view{each["block"]} == "mlp") {
      bound = 0;
      for (const simdjson::dom::element count : each["active_neurons"])
        bound += std::min<std::size_t>(std::uint64_t{count}, 255);
    }
    CHECK(std::uint64_t{each["bound"]} == bound);
    const rank_notions ranks = ranks_of(found, found.size - bound, bound);
    CHECK(double{each["effective_rank"]} == doctest::Approx(ranks.effective_rank));
    CHECK(std::uint64_t{each["counts_by_decade"].at(1)} == ranks.decades[1]);
    CHECK(std::uint64_t{each["energy_ranks_90_99_999"].at(2)} == ranks.energy_ranks[2]);
    const bool width_alone = file.find("1-text-") != std::string::npos || file.find("3-text-") != std::string::npos;
    for (const char* share : {"share_of_input_in_reads", "share_of_output_in_writes"}) {
      if (width_alone) {
        CHECK(each[share].error() == simdjson::NO_SUCH_FIELD);
        continue;
      }
      CHECK(each[share].get_array().size() == std::uint64_t{each["tokens"]});
      for (const simdjson::dom::element of_token : each[share]) CHECK((double{of_token} > 0 && double{of_token} < 1));
    }
    ++seen;
  }
  CHECK(seen == 14 + 2 * 4);  // layers 1 and 3 at the other two texts
  CHECK(summary["tight_pass"].at(0)["effective_rank_over_bound"].get_array().size() == 3);
  CHECK_EQ(std::uint64_t{summary["run"]["seeds"]["random vectors"]}, 1);
  for (const simdjson::dom::element each : summary["tight_pass"]) {  // over the texts 1, 0 and 6
    const std::string block = std::string_view{each["block"]} == "attention" ? "attn" : "mlp";
    const auto share = [&](const std::string& name) {
      for (const simdjson::dom::element of : summary["spectra"]) {
        if (std::string_view{of["name"]} == block + name)
          return double{of["effective_rank"]} / static_cast<double>(std::uint64_t{of["bound"]});
      }
      return 0.0;
    };
    double logarithms[3] = {};
    std::size_t l = 0;
    for (const char* layer : {"-1", "-2", "-3"}) {
      for (const char* text : {"", "-text-0", "-text-6"})
        logarithms[l] += std::log(share(std::string{layer} + text)) / 3;
      CHECK(double{each["effective_rank_over_bound"].at(l)} == doctest::Approx(std::exp(logarithms[l])));
      CHECK(double{each["of_texts"].at(1).at(l)} == doctest::Approx(share(std::string{layer} + "-text-0")));
      ++l;
    }
    const auto narrowest = static_cast<std::size_t>(std::min_element(logarithms, logarithms + 3) - logarithms);
    CHECK_EQ(double{each["layer"]}, 1.0 + static_cast<double>(narrowest));
    const double gap = logarithms[std::uint64_t(double{each["next"]}) - 1] - logarithms[narrowest];
    CHECK(double{each["margin"]} == doctest::Approx(std::expm1(gap)));
    CHECK(double{each["margin_low"]} < double{each["margin"]});
    CHECK_EQ(bool{each["stands_out"]}, double{each["margin_low"]} > 0);
    CHECK_EQ(std::uint64_t{each["texts"]}, 3);
  }
  for (const simdjson::dom::element each : summary["directions"]) {
    const auto angles = read_npy<double, 3>(box / ("out/" + std::string{std::string_view{each["angles"]}}));
    CHECK(angles.shape() == std::array<std::size_t, 3>{3, 3, 3});
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) sum += std::cos(angles(0, 1, i)) * std::cos(angles(0, 1, i)) / 3;
    CHECK(double{each["overlap"].at(0).at(1)} == doctest::Approx(sum).epsilon(1e-6));
    CHECK(double{each["overlap"].at(2).at(2)} == doctest::Approx(1));
  }

  // The same again finds everything done; another text is not taken for it.
  const auto before = fs::last_write_time(box / "out/state/attn-1.done");
  check_done(
      box.run("tight_pass", demo("out", {"--length", "3", "--text", "1", "--layers", "1:4", "--directions", "3"})));
  CHECK(fs::last_write_time(box / "out/state/attn-1.done") == before);
  const outcome other =
      box.run("tight_pass",
              demo("out", {"--length", "3", "--text", "2", "--layers", "1", "--directions", "3", "--block", "mlp"}));
  CHECK_EQ(other.code, 0);
  CHECK(other.err.find("out/state/mlp-1.done: expected 3 tokens:") != std::string::npos);
  CHECK(other.err.find("computed anew") != std::string::npos);
  check_done(box.run("tight_pass", demo("alone", {"--length", "3", "--text", "2", "--layers", "1", "--directions", "3",
                                                  "--block", "mlp"})));
  CHECK_EQ(content_of(box / "out/spectrum-mlp-1.npy"), content_of(box / "alone/spectrum-mlp-1.npy"));
}

TEST_CASE("Ctrl-C stops a run; the same command resumes and ends with the same bytes as one run") {
  const sandbox box;
  const std::vector<std::string> more{"--block",  "attn",       "--length",     "6",       "--layers",
                                      "0:3",      "--analyser", "quadrature",   "--steps", "300",
                                      "--probes", "2",          "--directions", "0"};
  std::string line = std::string{OPTSCOPE_PROGRAMS_DIR} + "/tight_pass";
  for (const std::string& word : demo("stopped", more)) line += " '" + word + "'";
  // As soon as the first layer is done.
  const outcome result = box.shell(line +
                                   " & pid=$!; while [ ! -e stopped/state/attn-0.done ]; do sleep 0.02; done; "
                                   "kill -INT $pid; wait $pid");
  CHECK_EQ(result.code, 1);
  CHECK_EQ(result.err, "tight_pass: stopped; run the same command again to resume\n");
  CHECK_FALSE(fs::exists(box / "stopped/report.html"));
  CHECK_FALSE(fs::exists(box / "stopped/state/attn-2.done"));
  const auto before = fs::last_write_time(box / "stopped/state/attn-0.done");
  check_done(box.run("tight_pass", demo("stopped", more)));
  CHECK(fs::last_write_time(box / "stopped/state/attn-0.done") == before);
  check_done(box.run("tight_pass", demo("whole", more)));
  for (const char* layer : {"0", "1", "2"}) {
    const std::string name = std::string{"/density-attn-"} + layer + ".npy";
    CHECK_EQ(content_of(box / ("stopped" + name)), content_of(box / ("whole" + name)));
  }
  for (const std::string& file : box.list("stopped/state")) CHECK(file.find(".part") == std::string::npos);
  const auto density = read_npy<double, 2>(box / "whole/density-attn-1.npy");  // threshold, count, error
  CHECK(density.shape() == std::array<std::size_t, 2>{200, 3});
  CHECK(density(0, 0) > density(199, 0));
  CHECK(density(0, 1) < density(199, 1));
}

TEST_CASE("what cannot work is refused before the work starts, with the numbers and what would work") {
  const sandbox box;
  const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
    check_refused(box.run("tight_pass", demo("out", more)), 3, "tight_pass", part);
    CHECK_FALSE(fs::exists(box / "out/state/attn-0.done"));
  };
  box.write("ids.json", "[[2,3,4,5,6],[2,3,4]]");
  const auto short_texts = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{"--model", demo_model, "--ids", "ids.json", "--out", "out"};
    all.insert(all.end(), more.begin(), more.end());
    return box.run("tight_pass", all);
  };
  check_refused(short_texts({}), 3, "tight_pass", "ids.json: list 0: expected at least 34 tokens, found 5, 29 too few");
  check_refused(short_texts({"--length", "5", "--text", "all"}), 3, "tight_pass", "list 1: expected at least 5 tokens");
  check_refused(short_texts({"--length", "4", "--lengths", "2,8"}), 3, "tight_pass",
                "list 0: expected at least 8 tokens, found 5, 3 too few");
  refused({"--length", "1030"},
          "--length: expected at most 1024 tokens, the context of the model, found 1030, 6 too many");
  refused({"--length", "4", "--lengths", "2,2000"}, "--lengths: expected at most 1024 tokens");
  refused({"--length", "4", "--text", "10"}, "--text");
  refused({"--length", "4", "--at", "8"}, "--at");
  refused({"--length", "34", "--analyser", "exact", "--memory", "0.1"},
          "exact of 8704 x 8704: expected at most 100.0 MB of memory, found 642");
  refused({"--length", "34", "--analyser", "gram", "--memory", "0.1"}, "quadrature would work with");
  const outcome usage = box.run("tight_pass", demo("out", {"--block", "dense"}));
  CHECK_EQ(usage.code, 2);

  const outcome sampled =
      box.run("tight_pass",
              demo("out", {"--length", "8", "--block", "attn", "--layers", "0", "--memory", "0.02", "--steps", "20"}));
  CHECK_EQ(sampled.code, 0);
  CHECK(sampled.out.find("by quadrature (exact takes") != std::string::npos);
}

TEST_CASE("activations that are not finite are an error that names layer and text") {
  const sandbox box;
  box.write("ids.json", "[[2,3,4],[2,5,6]]");
  const fs::path broken = source / "tests/goldens/checkpoint/safetensors-not-finite";
  const outcome result =
      box.run("tight_pass", {"--model", broken, "--ids", "ids.json", "--length", "3", "--out", "out"});
  CAPTURE(result.err);
  CHECK_EQ(result.code, 3);
  CHECK(result.err.find("ids.json, layer ") != std::string::npos);
  CHECK(result.err.find("expected finite activations, found") != std::string::npos);
}

TEST_CASE("a disk that is full is a clear error, and nothing half written stays") {
  const sandbox box;
  std::string line = "trap '' XFSZ; ulimit -f 8; exec " + std::string{OPTSCOPE_PROGRAMS_DIR} + "/tight_pass";
  for (const std::string& word : demo("out", {"--length", "8", "--layers", "0"})) line += " '" + word + "'";
  const outcome result = box.shell(line);
  CAPTURE(result.err);
  CHECK_EQ(result.code, 1);
  CHECK(result.err.find("out/state/attn-0.part: cannot write: ") != std::string::npos);
  CHECK(box.list("out/state").empty());
}

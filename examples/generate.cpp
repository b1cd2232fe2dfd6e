// SPDX-License-Identifier: MIT
// Continues prompts: greedily, or by sampling from the likeliest tokens.
#include <iostream>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/checkpoint/generation_config.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/int8_weights.hpp>
#include <optscope/opt/model.hpp>

#include "support/device.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

template <class Model>
token_batch continued_by(Model&& opt, const program::app& app, const corpus& input, generation what,
                         const fs::path& edits_file) {
  app.report(opt);
  program::progress line{"tokens"};
  what.step = [&](std::size_t done, std::size_t total) { line(done, total); };
  if (edits_file.empty()) return generate(opt, input.tokens, what);
  removal_edits edits = edits_of(read_removal(edits_file, opt.shape(), fingerprint(opt.files())), opt.shape());
  return generate(opt, input.tokens, what, edits);
}

token_batch continuations(const program::app& app, const checkpoint& files, const corpus& input, const generation& what,
                          const fs::path& edits, bool int8) {
  if (int8) {
    if (app.device != "cpu") throw program::wrong_usage{"--int8", "works with --device cpu alone"};
    return continued_by(model<any_opt, float, cpu, int8_weights<float>>{files, cpu{app.threads}}, app, input, what,
                        edits);
  }
  return program::on_device(app, [&](auto backend) {
    return continued_by(model<any_opt, float, decltype(backend)>{files, backend}, app, input, what, edits);
  });
}

std::string json_line(const token_list& prompt, const token_list& ids, const tokenizer* words) {
  json_writer json;
  const auto list = [&](const char* name, const token_list& tokens) {
    json.key(name).begin_array();
    for (const token_id id : tokens) json.value(id);
    json.end_array();
  };
  json.begin_object();
  list("prompt_ids", prompt);
  list("ids", ids);
  if (words != nullptr) {
    json.field("text", words->decode(ids));
  } else {
    json.field("text", nullptr);
  }
  json.end_object();
  return json.text();
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "generate",
      "Continues prompts, all at once, and prints what comes after each. Follows the settings of the model's "
      "generation_config.json; those that it cannot follow are named on stderr.",
      "--model examples/demo-model --prompt Once --new 32"};
  app.offer({"--model", "--prompt", "--ids", "--threads", "--device"});
  generation what;
  std::optional<double> temperature;
  std::optional<std::size_t> seed;
  bool ignore_eos = false, as_json = false, int8 = false;
  fs::path edits;
  app.option("--new", &what.new_tokens, "At most this many new tokens per prompt")
      .check(program::not_positive)
      .type("N")
      .shown();
  app.option("--temperature", &temperature,
             "Sample with this temperature; 0 takes the likeliest token (default: that of generation_config.json if it "
             "asks for sampling; otherwise 0, or 1 if another sampling option is given)")
      .check(program::number_within(0, false, 1e300, "a number, 0 or more"))
      .type("T");
  const auto top_k = app.option("--top-k", &what.how.top_k, "Sample from the K likeliest tokens")
                         .check(program::not_positive)
                         .type("K");
  const auto top_p =
      app.option("--top-p", &what.how.top_p, "Sample from the likeliest tokens that together have probability P")
          .check(program::number_within(0, true, 1, "a number above 0, at most 1"))
          .type("P");
  app.option("--seed", &seed, "Sample; the same seed gives the same tokens (default: 0)").type("N");
  app.option("--edits", &edits, "Remove from the model what a file written by `isolate` says")
      .check(program::no_path)
      .type("FILE");
  app.option(
      "--int8", &int8,
      "Round the weights to 8 bits, which are kept in memory: half as much as F16, up to 1.6 times as fast; about one "
      "token in a hundred is another");
  app.option("--ignore-eos", &ignore_eos, "Continue after </s>");
  app.option("--json", &as_json, R"(Print one {"prompt_ids", "ids", "text"} per line)");

  return app.run(argc, argv, [&] {
    const corpus input = app.read_input();
    const checkpoint files{app.model};
    const architecture shape = architecture_of(files.configuration(), (app.model / "config.json").string());
    app.check(input, shape);
    const generation_config values = read_generation_config(files.folder());
    for (const std::string& each : values.not_applied) std::cerr << "generate: " << each << ": not applied\n";
    what.rules = logit_rules{values};
    what.stop = ignore_eos ? token_list{} : values.eos_token_ids;
    const bool sampled = values.do_sample || top_k.given() || top_p.given() || seed;
    what.how.temperature = temperature.value_or(values.do_sample ? values.temperature : sampled ? 1 : 0);
    if (values.do_sample && !top_k.given()) what.how.top_k = values.top_k;
    if (values.do_sample && !top_p.given()) what.how.top_p = values.top_p;
    what.how.seed = seed.value_or(0);
    if (input.words) what.tokens = input.words->size();

    const token_batch ids = continuations(app, files, input, what, edits, int8);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (as_json) {
        std::cout << json_line(input.tokens[i], ids[i], input.words ? &*input.words : nullptr) << '\n';
      } else if (input.words) {
        std::cout << input.words->decode(ids[i]) << '\n';
      } else {
        for (std::size_t at = 0; at < ids[i].size(); ++at) std::cout << (at == 0 ? "" : " ") << ids[i][at];
        std::cout << '\n';
      }
    }
  });
}

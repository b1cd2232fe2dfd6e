// SPDX-License-Identifier: MIT
// Continues prompts: greedy, or drawn with a temperature from the best tokens.
#include <unistd.h>

#include <cmath>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>

#include "program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

/// Checks an option's value: a finite number from `low`, itself excluded if `above`, to `high`.
auto number_within(double low, bool above, double high, const std::string& expected) {
  return [=](const std::string& value) {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    const bool right = !value.empty() && *end == '\0' && std::isfinite(number) && number <= high &&
                       (above ? number > low : number >= low);
    return right ? std::string{} : "expected " + expected + ", found " + value;
  };
}

/// True if all weights as floats take at most half of the machine's memory.
bool fits_in_memory(const architecture& shape) {
  const double layer = static_cast<double>(shape.hidden) * static_cast<double>(4 * shape.hidden + 2 * shape.ffn);
  const double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  return static_cast<double>(shape.layers) * layer * sizeof(float) <= memory / 2;
}

template <class Weights>
token_batch continuations(const program::app& app, const checkpoint& files, const corpus& input, generation what,
                          const fs::path& edits_file) {
  model<any_opt, float, cpu, Weights> opt{files, cpu{app.threads}};
  app.report(opt);
  program::progress line{"tokens"};
  what.step = [&](std::size_t done, std::size_t total) { line(done, total); };
  if (edits_file.empty()) return generate(opt, input.tokens, what);
  removal_edits edits = edits_of(read_removal(edits_file, opt.shape(), fingerprint(files)), opt.shape());
  return generate(opt, input.tokens, what, edits);
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
  program::app app{"generate", "Continues prompts, all at once; prints what comes behind each.",
                   "--model examples/demo-model --prompt Once --new 32"};
  app.offer({"--model", "--prompt", "--ids", "--threads"});
  generation what;
  std::optional<double> temperature;
  bool ignore_eos = false, as_json = false;
  fs::path edits;
  app.cli.add_option("--new", what.new_tokens, "New tokens of a prompt, at most")
      ->check(program::not_positive)
      ->type_name("N")
      ->capture_default_str();
  app.cli.add_option("--temperature", temperature, "Draws tokens; 1 if another option of drawing is given, 0: greedy")
      ->check(number_within(0, false, 1e300, "0 or more"))
      ->type_name("T");
  auto* top_k = app.cli.add_option("--top-k", what.how.top_k, "Draws from the K best")
                    ->check(program::not_positive)
                    ->type_name("K");
  auto* top_p = app.cli.add_option("--top-p", what.how.top_p, "Draws from the best that together have probability P")
                    ->check(number_within(0, true, 1, "more than 0 and at most 1"))
                    ->type_name("P");
  auto* seed = app.cli.add_option("--seed", what.how.seed, "Draws; the same number, the same tokens; 0 if not given")
                   ->check([](const std::string& value) {
                     const bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
                     return digits ? std::string{} : "expected a number from 0, found " + value;
                   })
                   ->type_name("N");
  app.cli.add_option("--edits", edits, "Takes out of the model what a file of `isolate` says")
      ->check(program::no_path)
      ->type_name("FILE");
  app.cli.add_flag("--ignore-eos", ignore_eos, "Goes on behind </s>");
  app.cli.add_flag("--json", as_json, R"(One {"prompt_ids", "ids", "text"} a line)");

  return app.run(argc, argv, [&] {
    const bool drawn = top_k->count() + top_p->count() + seed->count() != 0;
    what.how.temperature = temperature.value_or(drawn ? 1 : 0);
    const corpus input = app.read_input();
    const checkpoint files{app.model};
    const architecture shape = architecture_of(files.configuration(), (app.model / "config.json").string());
    app.check(input, shape);
    what.stop = ignore_eos ? token_list{} : files.configuration().eos_token_ids;
    if (input.words) what.tokens = input.words->size();

    const token_batch ids = fits_in_memory(shape)
                                ? continuations<resident_weights<float>>(app, files, input, what, edits)
                                : continuations<streamed_weights<float>>(app, files, input, what, edits);
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

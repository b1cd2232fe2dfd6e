// SPDX-License-Identifier: MIT
#pragma once
// What the programs of this folder share: options, reading texts, exit codes. Not part of the library.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/survey.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checks.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "run_record.hpp"

namespace program {

namespace fs = std::filesystem;

/// A word of a command line as a shell takes it.
[[nodiscard]] std::string quoted(const std::string& word);

/// A program: its options, and `run`, which turns exceptions into messages and exit codes.
///
///     int main(int argc, char** argv) {
///       program::app app{"lengths", "Prints how many tokens each text has.",
///                        "--model examples/demo-model --texts examples/texts"};
///       app.offer({"--model", "--texts", "--ids", "--length"});
///       return app.run(argc, argv, [&] {
///         for (const auto& tokens : app.read_input().tokens) std::cout << tokens.size() << '\n';
///       });
///     }
///
/// The example of `--help` names files below `examples/` and is printed so that it works in the current folder.
class app {
  std::unique_ptr<CLI::App, void (*)(CLI::App*)> parser_;

 public:
  fs::path model, ids, out;
  std::vector<fs::path> texts;
  std::vector<std::string> prompts;
  std::size_t length = 0;                         ///< 0: no cut
  std::string layers = "all", positions = "all";  ///< see `layers_of`, `positions_of`
  std::size_t threads = 0;                        ///< 0: every core
  std::string device = "cpu";                     ///< see device.hpp

  app(std::string name, const std::string& purpose, std::string example);

  /// Adds options of the shared list; set a field before to change its default. `--model` is required, and so is one of
  /// those of `--texts`, `--prompt` and `--ids` that are offered.
  void offer(std::initializer_list<std::string_view> names);

  /// Adds an option of this program.
  program::option option(const std::string& name, option_target target, const std::string& description);

  /// The layers chosen of a model that has `count`.
  [[nodiscard]] std::vector<std::size_t> layers_of(std::size_t count) const;

  /// The positions chosen of a text with this many tokens.
  [[nodiscard]] std::vector<std::size_t> positions_of(std::size_t tokens) const;
  /// The positions chosen of texts that are cut to `length`; where they do not fit, the message names `--length`.
  [[nodiscard]] std::vector<std::size_t> positions_of_length() const;
  /// The positions chosen of one text, which the message names where they do not fit.
  [[nodiscard]] std::vector<std::size_t> positions_of(const optscope::corpus& input, std::size_t text) const;

  /// Reads `--texts`, `--prompt` or `--ids` and cuts to `--length`. A text of fewer than `minimum` tokens is bad input.
  [[nodiscard]] optscope::corpus read_input(std::size_t minimum = 1) const;

  /// Finds the texts of `--texts` and reads the tokenizer, but no text yet. Fewer than two categories are bad input.
  [[nodiscard]] optscope::corpus find_texts() const;

  /// Refuses copies of texts. If texts share passages, says so on stderr and adds it to `limits`, with what follows.
  optscope::text_survey survey(const optscope::corpus& input, const std::string& what_follows,
                               std::vector<std::string>& limits) const;

  /// Refuses texts that a model of this shape cannot take, naming the file.
  void check(const optscope::corpus& input, const optscope::architecture& shape) const;

  /// Says on stderr what is odd about a model's files but does not keep it from running: tensors that are not used, NaN
  /// and infinity. Weights are searched only if they fit in half of the available memory.
  template <class Model>
  void report(Model& opt) const {
    report(opt.files(), opt.shape(), opt.backend().pool());
  }
  void report(const optscope::checkpoint& files, const optscope::architecture& shape,
              optscope::thread_pool& pool) const;

  /// Makes a folder below `--out`, or `--out` itself, where results can be written.
  fs::path make_folder(const std::string& name = "") const;

  /// The record of this run as JSON, for `run` in summary.json: see `run_record`. `seeds`: what was drawn with each.
  template <class Model>
  [[nodiscard]] std::string record(Model& opt, const optscope::corpus& input,
                                   std::vector<std::pair<std::string, std::size_t>> seeds) {
    run_.model = model;
    run_.threads = opt.backend().pool().size();
    run_.seeds = std::move(seeds);
    return json_of(run_, opt.files(), input);
  }

  /// Parses the command line, runs `body()` and returns the exit code: 0 done, 1 failed, 2 wrong usage, 3 bad input.
  int run(int argc, char** argv, const std::function<void()>& body);

  CLI::App& cli;  ///< the parser itself

 private:
  void parse(int argc, char** argv);
  int complain(int code, const std::string& message) const;
  [[nodiscard]] std::string command(const char* self) const;

  std::string name_, example_;
  run_record run_;
};

}  // namespace program

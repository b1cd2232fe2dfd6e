// SPDX-License-Identifier: MIT
#pragma once
// What the programs of this folder share: options, reading texts, progress, exit codes. Not part of the library.

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <iterator>
#include <memory>
#include <new>
#include <optscope/checkpoint/not_finite.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace program {

namespace fs = std::filesystem;

/// Checks an option's value: a whole number from 1.
inline std::string not_positive(const std::string& value) {
  const bool digits = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
  return digits && value.find_first_not_of('0') != std::string::npos ? "" : "expected 1 or more, found " + value;
}

/// Checks an option's value: a number of threads that a machine may have.
inline std::string not_threads(const std::string& value) {
  const std::string wrong = not_positive(value);
  return wrong.empty() && (value.size() > 4 || std::stoi(value) > 1024) ? "expected 1024 or less, found " + value
                                                                        : wrong;
}

/// Checks an option's value: any path.
inline std::string no_path(const std::string& value) { return value.empty() ? "expected a path, found ''" : ""; }

/// A word of a command line as a shell takes it.
inline std::string quoted(const std::string& word) {
  constexpr const char* plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+,:=@";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return text + "'";
}

/// A line on stderr that counts up, only where stderr is a terminal; it is gone when the work is done.
class progress {
 public:
  explicit progress(std::string what) : what_{std::move(what)}, shown_{::isatty(STDERR_FILENO) == 1} {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { clear(); }

  /// Before other output: takes the line away.
  void clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

  void operator()(std::size_t done, std::size_t total) {
    show([&] { return std::to_string(done) + "/" + std::to_string(total); });
  }
  /// `text()` is called where a line is to be drawn, at most ten times a second.
  template <class Text>
  void show(Text&& text) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || (drawn_ && now - last_ < std::chrono::milliseconds{100})) return;
    std::fprintf(stderr, "\r\033[K%s %s", what_.c_str(), std::string{text()}.c_str());
    std::fflush(stderr);
    last_ = now;
    drawn_ = true;
  }

 private:
  std::string what_;
  bool shown_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// A program: its options, and `run`, which turns exceptions into messages and exit codes.
///
///     int main(int argc, char** argv) {
///       program::app app{"lengths", "How many tokens each text has.",
///                        "--model examples/demo-model --texts examples/texts"};
///       app.offer({"--model", "--texts", "--ids", "--length"});
///       return app.run(argc, argv, [&] {
///         for (const auto& tokens : app.read_input().tokens) std::cout << tokens.size() << '\n';
///       });
///     }
///
/// The example of `--help` names files below `examples/` and is printed so that it works in the current folder.
struct app {
  fs::path model, ids, out;
  std::vector<fs::path> texts;
  std::vector<std::string> prompts;
  std::size_t length = 0;                         ///< 0: no cut
  std::string layers = "all", positions = "all";  ///< see `layers_of`, `positions_of`
  std::size_t threads = 0;                        ///< 0: every core
  CLI::App cli;                                   ///< for a program's own options

  app(std::string name, const std::string& purpose, std::string example)
      : cli{purpose, name}, name_{std::move(name)}, example_{std::move(example)} {}

  /// Adds options of the shared list; set a field before to change its default. `--model` is required, and one of those
  /// of `--texts`, `--prompt` and `--ids` that are offered is.
  void offer(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      if (name == "--model") {
        cli.add_option("--model", model, "Folder of the model as downloaded")
            ->required()
            ->type_name("DIR")
            ->check(no_path);
      } else if (name == "--texts") {
        cli.add_option(
               "--texts", texts,
               "A text, a folder of .txt files, or one whose sub-folders are the categories; may be given again")
            ->type_name("PATH")
            ->check(no_path);
      } else if (name == "--prompt") {
        cli.add_option("--prompt", prompts, "A text; may be given again")
            ->type_name("TEXT")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->expected(1);
      } else if (name == "--ids") {
        cli.add_option("--ids", ids, "JSON file: a list of lists of token ids, taken as they are")
            ->type_name("FILE")
            ->check(no_path);
      } else if (name == "--length") {
        auto* option = cli.add_option("--length", length, "Cut each text to N tokens, BOS included");
        option->check(not_positive)->type_name("N");
        if (length != 0) option->capture_default_str();
      } else if (name == "--layers" || name == "--positions") {
        const bool of_layers = name == "--layers";
        cli.add_option(std::string{name}, of_layers ? layers : positions,
                       of_layers ? "Layers: all, or indices and slices such as 0,5,-1 or ::2"
                                 : "Positions, BOS being 0: all, last, or indices and slices such as 475:512:4")
            ->type_name("SPEC")
            ->capture_default_str()
            ->check([of_layers](const std::string& spec) -> std::string {
              try {
                if (of_layers || spec != "last") optscope::selection::parse(spec, "");
                return "";
              } catch (const optscope::bad_input& e) {
                return e.what();
              }
            });
      } else if (name == "--threads") {
        cli.add_option("--threads", threads, "Threads; every core if not given")->check(not_threads)->type_name("N");
      } else if (name == "--out") {
        cli.add_option("--out", out, "Where the results go")->required()->type_name("PATH")->check(no_path);
      } else {
        throw std::logic_error{"no shared option " + std::string{name}};
      }
    }
  }

  /// The layers chosen of a model that has `count`.
  [[nodiscard]] std::vector<std::size_t> layers_of(std::size_t count) const {
    return optscope::parse_selection(layers, count, "--layers");
  }

  /// The positions chosen of a text of so many tokens.
  [[nodiscard]] std::vector<std::size_t> positions_of(std::size_t tokens) const {
    return optscope::parse_selection(positions == "last" ? "-1" : positions, tokens, "--positions");
  }
  /// The same; where they do not fit, the message says that `--length` allows no more.
  [[nodiscard]] std::vector<std::size_t> positions_of_length() const {
    try {
      return positions_of(length);
    } catch (const optscope::bad_input& e) {
      throw optscope::bad_input{"", e.item(), e.expected() + " (--length " + std::to_string(length) + ")", e.found()};
    }
  }
  /// The same of one text, which the message names.
  [[nodiscard]] std::vector<std::size_t> positions_of(const optscope::corpus& in, std::size_t text) const {
    try {
      return positions_of(in.tokens[text].size());
    } catch (const optscope::bad_input& e) {
      in.refuse(text, e.item(), e.expected(), e.found());
    }
  }

  /// Refuses texts that a model of this shape cannot take, naming the file.
  void check(const optscope::corpus& in, const optscope::architecture& shape) const {
    for (std::size_t i = 0; i < in.tokens.size(); ++i) {
      const optscope::token_list& tokens = in.tokens[i];
      if (tokens.size() > shape.max_positions) {
        const std::string way_out = cli.get_option_no_throw("--length") == nullptr ? "" : ", or --length to cut";
        in.refuse(i, "", "at most " + std::to_string(shape.max_positions) + " tokens" + way_out,
                  std::to_string(tokens.size()));
      }
      for (std::size_t at = 0; at < tokens.size(); ++at) {
        if (static_cast<std::size_t>(tokens[at]) < shape.vocabulary) continue;
        in.refuse(i, "token " + std::to_string(at), "an id below " + std::to_string(shape.vocabulary),
                  std::to_string(tokens[at]));
      }
    }
  }

  /// Says on stderr what is odd about a model's files and does not keep it from running: tensors that it has no place
  /// for, NaN and infinity. The weights are searched where that does not mean to read them from the disk twice.
  template <class Model>
  void report(Model& opt) const {
    const auto say = [&](const std::string& what) {
      std::fprintf(stderr, "%s: %s: %s\n", name_.c_str(), model.c_str(), what.c_str());
    };
    constexpr std::size_t most = 3;  // of each kind
    const std::vector<std::string> extra = optscope::extra_tensors(opt.files(), opt.shape());
    for (std::size_t i = 0; i < std::min(most, extra.size()); ++i) {
      say("tensor " + extra[i] + ": not used, config.json has no place for it");
    }
    if (extra.size() > most) say("and " + std::to_string(extra.size() - most) + " more tensors that are not used");

    std::uintmax_t bytes = 0;
    for (const fs::path& file : opt.files().files()) bytes += fs::file_size(file);
    if (bytes > optscope::available_memory() / 2) return say("too large to search the weights for NaN and infinity");
    const auto broken = optscope::find_not_finite(opt.files(), opt.backend().pool());
    for (std::size_t i = 0; i < std::min(most, broken.size()); ++i) {
      say("tensor " + broken[i].name + ": " + std::to_string(broken[i].count) +
          " elements are NaN or infinite, the first at " + std::to_string(broken[i].first));
    }
    if (broken.size() > most) say("and " + std::to_string(broken.size() - most) + " more tensors with NaN or infinity");
  }

  /// Reads `--texts`, `--prompt` or `--ids` and cuts to `--length`. A text of fewer than `minimum` tokens is bad input.
  [[nodiscard]] optscope::corpus read_input(std::size_t minimum = 1) const {
    optscope::corpus result;
    if (!ids.empty()) {
      result = optscope::read_corpus_ids(ids);
      if (optscope::tokenizer::present_in(model)) result.words.emplace(model);
    } else {
      result = optscope::find_corpus(texts);
      result.words.emplace(model);
      progress line{"reading texts"};
      for (std::size_t t = 0; t < result.size(); ++t) {
        result.tokens[t] = result.read(t);
        line(t + 1, result.size());
      }
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        const std::string source = "prompt " + std::to_string(i);
        result.add("prompt", {.name = std::to_string(i), .file = source, .item = ""},
                   result.words->encode(prompts[i], source));
      }
    }
    if (length != 0) result.tokens = optscope::trim(std::move(result.tokens), length);
    for (std::size_t t = 0; t < result.size(); ++t) result.require_tokens(t, minimum);
    return result;
  }

  /// Finds the texts of `--texts` without reading them; they must be of at least two categories.
  [[nodiscard]] optscope::corpus find_texts() const {
    optscope::corpus found = optscope::find_corpus(texts);
    if (found.categories.size() < 2) {
      throw optscope::bad_input{texts.front().string(), "--texts", "at least two categories to compare (sub-folders)",
                                "one: " + found.categories.front()};
    }
    found.words.emplace(model);
    return found;
  }

  /// Makes a folder below `--out`, or `--out` itself, where results can be written.
  fs::path make_folder(const std::string& name = "") const {
    const fs::path folder = name.empty() ? out : out / name;
    std::error_code status;
    fs::create_directories(folder, status);
    if (status) throw optscope::file_error{folder.string(), "", "a folder that can be made", status.message()};
    if (::access(folder.c_str(), W_OK) != 0) {
      throw optscope::file_error{folder.string(), "", "a writable folder", std::strerror(errno)};
    }
    return folder;
  }

  /// Parses the command line, runs `body()` and gives the exit code: 0 done, 1 failed, 2 wrong usage, 3 bad input.
  template <class Body>
  int run(int argc, char** argv, Body&& body) {
    explain_bus_errors();
    try {
      cli.footer("Example:\n  " + command(argv[0]));
      cli.parse(argc, argv);
      std::string offered, given;  // of the options that say what is read
      for (const std::string name : {"--texts", "--prompt", "--ids"}) {
        const auto* option = cli.get_option_no_throw(name);
        if (option == nullptr) continue;
        offered += (offered.empty() ? "" : " or ") + name;
        if (option->count() == 0) continue;
        if (!given.empty()) throw CLI::ExcludesError{given, name};
        given = name;
      }
      if (!offered.empty() && given.empty()) throw CLI::RequiredError{offered};
      body();
      if (std::fflush(stdout) != 0 || !std::cout.flush())
        throw optscope::write_error{"cannot write to standard output"};
      return 0;
    } catch (const CLI::ParseError& e) {
      if (e.get_exit_code() == 0) return cli.exit(e);
      std::string what = e.what();
      const std::vector<std::string> unknown = cli.remaining();  // a misspelt option first, then what is missing for it
      if (!unknown.empty()) {
        what = "not expected:";
        for (const std::string& word : unknown) what += " " + word;
      }
      return complain(2, what + "\n  " + name_ + " --help lists the options");
    } catch (const optscope::bad_input& e) {
      return complain(3, e.what());
    } catch (const std::bad_alloc&) {
      return complain(1, "out of memory");
    } catch (const std::exception& e) {
      return complain(1, e.what());
    }
  }

 private:
  /// The kernel ends a program with SIGBUS if it reads a mapped file that was cut since; here that is bad input, too.
  void explain_bus_errors() const {
    static std::string message;  // for the handler, which may only write and leave
    message = name_ + ": a file was cut, or its disk failed, while it was read\n";
    ::signal(SIGBUS, [](int) {
      const auto written = ::write(STDERR_FILENO, message.data(), message.size());
      ::_exit(written < 0 ? 1 : 3);
    });
  }

  int complain(int code, const std::string& message) const {
    std::cout.flush();
    std::fprintf(stderr, "%s: %s\n", name_.c_str(), message.c_str());
    return code;
  }

  /// The example as one types it here: this program, and the files below `examples/` seen from the current folder.
  [[nodiscard]] std::string command(const char* self) const {
    std::error_code status;
#ifdef OPTSCOPE_EXAMPLES_DIR
    const fs::path near = fs::proximate(OPTSCOPE_EXAMPLES_DIR, status);
    const std::string examples = (status || near.empty() ? fs::path{OPTSCOPE_EXAMPLES_DIR} : near).string() + "/";
#else
    const std::string examples = "examples/";
#endif
    std::string line = quoted(self);
    std::istringstream words{example_};
    for (std::string word; words >> word;) {
      line += " " + (word.rfind("examples/", 0) == 0 ? quoted(examples + word.substr(9)) : word);
    }
    return line;
  }

  std::string name_, example_;
};

}  // namespace program

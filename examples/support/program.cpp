// SPDX-License-Identifier: MIT
#include "program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <optscope/checkpoint/not_finite.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace program {
namespace {

/// The kernel ends a program with SIGBUS if it reads a mapped file that has been cut; here that is bad input, too.
void explain_bus_errors(const std::string& name) {
  static std::string message;  // for the handler, which may only write and leave
  message = name + ": a file was cut, or its disk failed, while it was read\n";
  ::signal(SIGBUS, [](int) {
    const auto written = ::write(STDERR_FILENO, message.data(), message.size());
    ::_exit(written < 0 ? 1 : 3);
  });
}

/// A program that is started without one of its standard streams would get its number for the next file that it opens,
/// and messages would go into results. What is opened here can be neither read nor written, as a closed stream.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // takes the lowest number, this one
  }
}

/// Checks a SPEC of layers or positions.
std::string wrong_selection(const std::string& spec) {
  try {
    optscope::selection::parse(spec, "");
    return "";
  } catch (const optscope::bad_input& e) {
    return e.what();
  }
}

}  // namespace

std::string quoted(const std::string& word) {
  constexpr const char* plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+,:=@";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return text + "'";
}

app::app(std::string name, const std::string& purpose, std::string example)
    : parser_{new CLI::App{purpose, name}, [](CLI::App* parser) { delete parser; }},
      cli{*parser_},
      name_{std::move(name)},
      example_{std::move(example)} {}

program::option app::option(const std::string& name, option_target target, const std::string& description) {
  return {cli, name, target, description};
}

void app::offer(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (name == "--model") {
      option("--model", &model, "Folder of the model as downloaded").required().type("DIR").check(no_path);
    } else if (name == "--texts") {
      option("--texts", &texts,
             "A text, a folder of .txt files, or a folder whose sub-folders are the categories; may be repeated")
          .type("PATH")
          .check(no_path);
    } else if (name == "--prompt") {
      option("--prompt", &prompts, "A text; may be repeated").type("TEXT").one_value_each();
    } else if (name == "--ids") {
      option("--ids", &ids, "JSON file with a list of lists of token ids, or one list per line as `tokens` prints them")
          .type("FILE")
          .check(no_path);
    } else if (name == "--length") {
      auto cut = option("--length", &length, "Cut each text to N tokens, BOS included").check(not_positive).type("N");
      if (length != 0) cut.shown();
    } else if (name == "--layers") {
      option("--layers", &layers, "Layers: all, or indices and slices such as 0,5,-1 or ::2")
          .type("SPEC")
          .shown()
          .check(wrong_selection);
    } else if (name == "--positions") {
      option("--positions", &positions, "Positions, BOS being 0: all, last, or indices and slices such as 475:512:4")
          .type("SPEC")
          .shown()
          .check([](const std::string& spec) { return spec == "last" ? "" : wrong_selection(spec); });
    } else if (name == "--threads") {
      option("--threads", &threads, "Threads (default: one per core)").check(not_threads).type("N");
    } else if (name == "--device") {
      option("--device", &device, "Compute on the CPU or, if the program was built with CUDA, on an NVIDIA GPU")
          .one_of({"cpu", "cuda"})
          .shown();
    } else if (name == "--out") {
      option("--out", &out, "Where the results go").required().type("PATH").check(no_path);
    } else {
      throw std::logic_error{"no shared option " + std::string{name}};
    }
  }
}

std::vector<std::size_t> app::layers_of(std::size_t count) const {
  return optscope::parse_selection(layers, count, "--layers");
}

std::vector<std::size_t> app::positions_of(std::size_t tokens) const {
  return optscope::parse_selection(positions == "last" ? "-1" : positions, tokens, "--positions");
}

std::vector<std::size_t> app::positions_of_length() const {
  try {
    return positions_of(length);
  } catch (const optscope::bad_input& e) {
    throw optscope::bad_input{"", e.item(), e.expected() + " (--length " + std::to_string(length) + ")", e.found()};
  }
}

std::vector<std::size_t> app::positions_of(const optscope::corpus& input, std::size_t text) const {
  try {
    return positions_of(input.tokens[text].size());
  } catch (const optscope::bad_input& e) {
    input.refuse(text, e.item(), e.expected(), e.found());
  }
}

optscope::corpus app::read_input(std::size_t minimum) const {
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

optscope::corpus app::find_texts() const {
  optscope::corpus found = optscope::find_corpus(texts);
  if (found.categories.size() < 2) {
    throw optscope::bad_input{texts.front().string(), "--texts", "at least two categories to compare (sub-folders)",
                              "one: " + found.categories.front()};
  }
  found.words.emplace(model);
  return found;
}

optscope::text_survey app::survey(const optscope::corpus& input, const std::string& what_follows,
                                  std::vector<std::string>& limits) const {
  optscope::text_survey known = optscope::survey(input);
  const std::string shared = optscope::shared_passages(known, input);
  if (shared.empty()) return known;
  limits.push_back(shared + ": they are not independent, and " + what_follows);
  std::cerr << name_ << ": note: " << limits.back() << '\n';
  return known;
}

void app::check(const optscope::corpus& in, const optscope::architecture& shape) const {
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

void app::report(const optscope::checkpoint& files, const optscope::architecture& shape,
                 optscope::thread_pool& pool) const {
  const auto say = [&](const std::string& what) {
    std::fprintf(stderr, "%s: %s: %s\n", name_.c_str(), model.c_str(), what.c_str());
  };
  constexpr std::size_t most = 3;  // of each kind
  const std::vector<std::string> extra = optscope::extra_tensors(files, shape);
  for (std::size_t i = 0; i < std::min(most, extra.size()); ++i) {
    const bool has_reason = std::ranges::find(files.unlisted(), extra[i]) != files.unlisted().end();
    say("tensor " + extra[i] + (has_reason ? "" : ": not used, config.json has no place for it"));
  }
  if (extra.size() > most) say("and " + std::to_string(extra.size() - most) + " more tensors that are not used");

  std::uintmax_t bytes = 0;
  for (const fs::path& file : files.files()) bytes += fs::file_size(file);
  if (bytes > optscope::available_memory() / 2) return say("too large to search the weights for NaN and infinity");
  const auto broken = optscope::find_not_finite(files, pool);
  for (std::size_t i = 0; i < std::min(most, broken.size()); ++i) {
    say("tensor " + broken[i].name + ": " + std::to_string(broken[i].count) +
        (broken[i].count == 1 ? " element is" : " elements are") + " NaN or infinite, the first at " +
        std::to_string(broken[i].first));
  }
  if (broken.size() > most) say("and " + std::to_string(broken.size() - most) + " more tensors with NaN or infinity");
}

fs::path app::make_folder(const std::string& name) const {
  const fs::path folder = name.empty() ? out : out / name;
  std::error_code status;
  fs::create_directories(folder, status);
  if (status) throw optscope::file_error{folder.string(), "", "a folder that can be made", status.message()};
  if (::access(folder.c_str(), W_OK) != 0) {
    throw optscope::file_error{folder.string(), "", "a writable folder", std::strerror(errno)};
  }
  return folder;
}

void app::parse(int argc, char** argv) {
  cli.footer("Example:\n  " + command(argv[0]));
  program::parse(cli, argc, argv);
  std::string offered, given;  // of the options that say what is read
  for (const std::string name : {"--texts", "--prompt", "--ids"}) {
    const CLI::Option* option = cli.get_option_no_throw(name);
    if (option == nullptr) continue;
    offered += (offered.empty() ? "" : " or ") + name;
    if (option->count() == 0) continue;
    if (!given.empty()) throw CLI::ValidationError{given, "cannot be given together with " + name};
    given = name;
  }
  if (!offered.empty() && given.empty()) throw CLI::RequiredError{offered};
}

int app::run(int argc, char** argv, const std::function<void()>& body) {
  keep_standard_streams();
  explain_bus_errors(name_);
  const std::string help = "\n  " + name_ + " --help lists the options";
  run_.command.assign(argv, argv + argc);
  run_.begin = std::chrono::steady_clock::now();
  try {
    parse(argc, argv);
    body();
    if (std::fflush(stdout) != 0 || !std::cout.flush()) throw optscope::write_error{"cannot write to standard output"};
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return cli.exit(e);
    std::string what = e.what();
    const std::vector<std::string> unknown = cli.remaining();  // a misspelt option first, then what is missing for it
    if (!unknown.empty()) {
      what = "not expected:";
      for (const std::string& word : unknown) what += " " + word;
    }
    return complain(2, unmarked(what) + help);
  } catch (const wrong_usage& e) {
    return complain(2, e.what() + help);
  } catch (const optscope::bad_input& e) {
    return complain(3, e.what());
  } catch (const std::bad_alloc&) {
    return complain(1, "out of memory");
  } catch (const std::exception& e) {
    return complain(1, e.what());
  }
}

int app::complain(int code, const std::string& message) const {
  std::cout.flush();
  std::fprintf(stderr, "%s: %s\n", name_.c_str(), message.c_str());
  return code;
}

/// The example as it is typed here: this program, and the files below `examples/` seen from the current folder.
std::string app::command(const char* self) const {
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

}  // namespace program

// SPDX-License-Identifier: MIT
#pragma once
// Runs a built program in a new folder and keeps its output.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/core/output_file.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "temporary_folder.hpp"

extern char** environ;

namespace program_tests {

namespace fs = std::filesystem;

inline const fs::path source = OPTSCOPE_SOURCE_DIR;
inline const fs::path demo_model = source / "examples/demo-model";
inline const fs::path texts = source / "examples/texts";
inline const fs::path tiny_model = source / "tests/goldens/model/head-dim-64";  // 2 layers, 2 heads, no tokenizer
inline const fs::path post_ln_model = source / "tests/goldens/model/post-ln-projected";

/// Exit code and output of a program.
struct outcome {
  int code = -1;  // 128 + a signal's number
  std::string out, err;
};

/// A folder that is removed after the test. Programs run inside `work`; their output is kept next to it.
class sandbox {
 public:
  sandbox() {
    for (const char* name : {"work", "no-programs"}) fs::create_directory(folder_ / name);
  }

  [[nodiscard]] fs::path operator/(const std::string& name) const { return folder_ / "work" / name; }
  void write(const std::string& name, std::string_view content) const {
    fs::create_directories((*this / name).parent_path());
    optscope::write_file(*this / name, content);
  }
  /// A copy of a model's folder that a test may spoil.
  void copy_model(const fs::path& model, const std::string& name) const {
    fs::create_directory(*this / name);
    for (const char* file : {"config.json", "model.safetensors"}) fs::copy(model / file, *this / name / file);
  }

  /// Every file and folder below `name`, sorted, with `/` after folders.
  [[nodiscard]] std::vector<std::string> list(const std::string& name = ".") const {
    std::vector<std::string> found;
    const fs::path root = *this / name;
    for (const auto& entry : fs::recursive_directory_iterator{root}) {
      found.push_back(entry.path().lexically_relative(root).string() + (entry.is_directory() ? "/" : ""));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  /// Runs one of the built programs; `without_gnuplot` leaves nothing in PATH.
  [[nodiscard]] outcome run(const std::string& program, const std::vector<std::string>& arguments,
                            bool without_gnuplot = false) const {
    std::vector<std::string> words{std::string{OPTSCOPE_PROGRAMS_DIR} + "/" + program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return start(std::move(words), without_gnuplot);
  }
  [[nodiscard]] outcome shell(const std::string& line) const { return start({"/bin/sh", "-c", line}, false); }

 private:
  [[nodiscard]] outcome start(std::vector<std::string> words, bool without_gnuplot) const {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string_view text = *variable;
      if (!without_gnuplot || text.substr(0, 5) != "PATH=") variables.emplace_back(text);
    }
    if (without_gnuplot) variables.push_back("PATH=" + (folder_ / "no-programs").string());
    const auto pointers = [](std::vector<std::string>& strings) {
      std::vector<char*> result;
      for (std::string& string : strings) result.push_back(string.data());
      result.push_back(nullptr);
      return result;
    };

    const std::string work = (folder_ / "work").string(), out = folder_ / "stdout", err = folder_ / "stderr";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, work.c_str());
    pid_t child = 0;
    const int reason =
        ::posix_spawn(&child, words[0].c_str(), &actions, nullptr, pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(reason == 0, words[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content_of(out), content_of(err)};
  }

  temporary_folder folder_;
};

/// Done, and nothing to complain about.
inline void check_done(const outcome& result) {
  CHECK_EQ(result.code, 0);
  CHECK_EQ(result.err, "");
}

/// This exit code, nothing on stdout, and on stderr one to six lines that begin with the program's name and hold
/// `part`.
inline void check_refused(const outcome& result, int code, const std::string& program, const std::string& part) {
  CAPTURE(result.err);
  CHECK_EQ(result.code, code);
  CHECK_EQ(result.out, "");
  const auto lines = std::count(result.err.begin(), result.err.end(), '\n');
  CHECK(lines >= 1);
  CHECK(lines <= 6);
  CHECK_EQ(result.err.back(), '\n');
  CHECK_EQ(result.err.rfind(program + ": ", 0), 0);
  CHECK_MESSAGE(result.err.find(part) != std::string::npos, "expected: ", part);
}

/// The last line of `--help`: a command as one types it.
inline std::string example_of(const std::string& help) {
  const std::size_t begin = help.rfind("Example:\n  ");
  REQUIRE(begin != std::string::npos);
  return help.substr(begin + 11);
}

}  // namespace program_tests

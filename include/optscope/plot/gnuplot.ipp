// SPDX-License-Identifier: MIT
#pragma once
// Bodies of gnuplot.hpp.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ios>
#include <iterator>
#include <list>
#include <map>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/label.hpp>
#include <string_view>
#include <system_error>
#include <utility>

extern char** environ;

namespace optscope::plot {

namespace detail {

/// A new folder under TMPDIR (else /tmp), removed at the end with everything in it.
class scratch_folder {
 public:
  scratch_folder() {
    const char* chosen = std::getenv("TMPDIR");
    const bool by_default = chosen == nullptr || *chosen == '\0';
    const std::filesystem::path parent = by_default ? "/tmp" : chosen;
    std::string pattern = (parent / "optscope-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw file_error{parent.string(), by_default ? "" : "TMPDIR", "a folder for temporary files",
                       std::strerror(errno)};
    }
    path_ = pattern;
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Writes a file of the scratch folder.
inline void put(const std::filesystem::path& file, std::string_view bytes) {
  std::FILE* stream = std::fopen(file.c_str(), "wbe");
  const bool opened = stream != nullptr;
  const bool written = opened && std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size();
  const int reason = errno;
  const bool closed = opened && std::fclose(stream) == 0;
  if (!closed || !written) {
    throw write_error{file.string() + ": cannot write a temporary file: " + std::strerror(written ? errno : reason)};
  }
}

/// Runs a program (looked up in PATH) with its output and messages going to files. Returns its exit status, 128 + a
/// signal's number, or 127 if there is no such program.
inline int run(std::vector<std::string> words, const std::string& output, const std::string& messages) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int reason = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (reason == ENOENT || reason == ENOTDIR || reason == EACCES) return 127;
  if (reason != 0) throw gnuplot_error{words[0] + ": cannot be started: " + std::strerror(reason)};

  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw gnuplot_error{words[0] + ": cannot wait for it: " + std::strerror(errno)};
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The commands with `?` in place of every character that no installed font has: the box that gnuplot 5.4 draws through
/// Cairo for such a character covers the whole picture. Asks fontconfig's `fc-list`, which gnuplot's own libraries
/// bring.
inline std::string drawable(std::string_view commands, const scratch_folder& scratch) {
  const auto file = [&](const char* name) { return (scratch.path() / name).string(); };
  std::map<std::string, bool, std::less<>> known;
  std::string text;
  while (!commands.empty()) {
    const std::string_view character = take_character(commands);
    auto code = static_cast<unsigned>(static_cast<unsigned char>(character[0]));
    if (character.size() > 1) code &= 0x7fu >> character.size();
    for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
    // Latin letters, the ellipsis of `shortened` and the dashes are in every font.
    bool has_font = code < 0x80 || (code >= 0xa0 && code < 0x180) || (code >= 0x2013 && code <= 0x2026);
    if (!has_font) {
      auto place = known.find(character);
      if (place == known.end()) {
        char digits[12];
        const std::string hex_code{digits, std::to_chars(digits, digits + sizeof digits, code, 16).ptr};
        const bool found = run({"fc-list", ":charset=" + hex_code}, file("fonts"), file("messages")) == 0 &&
                           std::filesystem::file_size(file("fonts")) > 0;
        place = known.emplace(character, found).first;
      }
      has_font = place->second;
    }
    text += has_font ? character : std::string_view{"?"};
  }
  return text;
}

/// All bytes of a file of the scratch folder.
inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

/// Tells browsers not to smooth the images in an SVG: the cells of a matrix have edges.
inline std::string with_pixels(std::string svg) {
  const std::string_view from = "<image ", to = "<image style='image-rendering:pixelated' ";
  for (std::size_t at = 0; (at = svg.find(from, at)) != std::string::npos; at += to.size())
    svg.replace(at, from.size(), to);
  return svg;
}

/// The commands that set gnuplot's terminal for a picture.
inline std::string terminal(image_format format, const picture& what) {
  const auto size = [&](double scale, const char* unit) {
    return " size " + std::to_string(what.width * scale) + unit + "," + std::to_string(what.height * scale) + unit;
  };
  switch (format) {
    case image_format::png:  // 108 dots per inch; gnuplot assumes 96 for fonts
      return "pngcairo enhanced" + size(1.5, "") + " font 'sans,10' fontscale 1.125 linewidth 1.5";
    case image_format::svg:
      return "svg enhanced" + size(1, "") + " font 'sans-serif,10' linewidth 1 background '#ffffff'";
    case image_format::pdf: break;
  }
  return "pdfcairo enhanced" + size(1 / 72.0, "in") + " font 'sans,10' fontscale 1 linewidth 1";
}

/// What is wrong, from gnuplot's messages: it repeats the line of the script, marks a place in it, and says last what
/// is wrong.
inline std::string last_line(const std::filesystem::path& messages) {
  std::ifstream stream{messages};
  std::string line, last;
  while (std::getline(stream, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace detail

OPTSCOPE_INLINE void draw(const std::vector<drawing>& pictures) {
  if (pictures.empty()) return;
  const detail::scratch_folder scratch;
  const auto path = [&](const std::string& name) { return (scratch.path() / name).string(); };

  std::list<output_file> outputs;
  std::vector<std::filesystem::path> drawn;  // of each
  std::string script = "set encoding utf8\n";
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto& [what, files] = pictures[i];
    const std::string data = path("data" + std::to_string(i));
    detail::put(data, {reinterpret_cast<const char*>(what.data.data()), what.data.size() * sizeof(float)});
    script += "data = " + gnuplot_path(data) + "\n";
    const std::string drawable = detail::drawable(what.commands, scratch);
    for (const image_format format : files.formats) {
      const std::string extension = "." + std::string{name_of(format)};
      outputs.emplace_back(files.stem.string() + extension);
      drawn.push_back(path("picture" + std::to_string(drawn.size()) + extension));
      script += "reset\nset terminal " + detail::terminal(format, what) + "\nset output " + gnuplot_path(drawn.back()) +
                "\n" + (format == image_format::svg ? what.commands : drawable) + "\nset output\n";
    }
  }

  detail::put(path("script"), script);
  const int status = detail::run({"gnuplot", "--default-settings", path("script")}, path("output"), path("messages"));
  if (status == 127) throw gnuplot_missing{"gnuplot: not found; no picture is drawn (Debian: gnuplot-nox)"};
  if (status != 0 && pictures.size() > 1) {  // one by one, so that the message names the picture
    outputs.clear();
    for (const drawing& each : pictures) draw(each.what, each.files);
    return;
  }
  if (status != 0) {
    throw gnuplot_error{pictures[0].files.stem.string() + ": gnuplot failed with exit status " +
                        std::to_string(status) + ": " + detail::last_line(path("messages"))};
  }
  auto file = drawn.begin();
  for (output_file& each : outputs) {
    std::string bytes = detail::content_of(*file);
    each.write(file->extension() == ".svg" ? detail::with_pixels(std::move(bytes)) : bytes);
    ++file;
  }
  for (output_file& each : outputs) each.commit();
}

OPTSCOPE_INLINE void draw(const picture& what, const picture_files& files) {
  draw(std::vector<drawing>{{.what = what, .files = files}});
}

OPTSCOPE_INLINE std::vector<std::vector<drawing>> split_into_batches(std::vector<drawing> pictures, std::size_t count) {
  // Large ones first, in turn: the time that a picture takes grows with its area.
  std::stable_sort(pictures.begin(), pictures.end(), [](const drawing& a, const drawing& b) {
    return a.what.width * a.what.height > b.what.width * b.what.height;
  });
  std::vector<std::vector<drawing>> batches(count);
  for (std::size_t i = 0; i < pictures.size(); ++i) batches[i % count].push_back(std::move(pictures[i]));
  return batches;
}

}  // namespace optscope::plot

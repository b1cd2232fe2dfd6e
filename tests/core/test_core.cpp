// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optscope/core/architecture.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <set>

#include "temporary_folder.hpp"

using namespace optscope;

namespace {
// Plain reference: the value of an IEEE half from its definition.
double half_by_definition(unsigned half) {
  const double sign = half & 0x8000 ? -1 : 1;
  const int exponent = static_cast<int>(half >> 10 & 31);
  const double fraction = (half & 1023) / 1024.0;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15));
}
}  // namespace

TEST_CASE("every half converts to the float that its definition gives") {
  for (unsigned half = 0; half < 65536; ++half) {
    const double expected = half_by_definition(half);
    const float found = half_to_float(static_cast<std::uint16_t>(half));
    if (std::isnan(expected)) {
      CHECK(std::isnan(found));
    } else if (static_cast<double>(found) != expected || std::signbit(found) != std::signbit(expected)) {
      FAIL("half " << half << " gives " << found << ", expected " << expected);
    }
  }
}

TEST_CASE("bf16 is the upper half of a float") {
  CHECK_EQ(bfloat16_to_float(0x3f80), 1.0f);
  CHECK_EQ(bfloat16_to_float(0xc049), -3.140625f);
}

TEST_CASE("a view indexes strided rows, and is reshaped without a copy") {
  float data[24];
  for (int i = 0; i < 24; ++i) data[i] = static_cast<float>(i);
  const tensor_view<float, 3> x{data, {2, 3, 2}, 12};
  CHECK_EQ(x(1, 2, 1), 17.0f);
  CHECK_EQ(x.row(1)[0], 12.0f);
  CHECK_FALSE(x.contiguous());
  CHECK_EQ(x.reshape<2>({2, 6})(1, 5), 17.0f);
  CHECK_EQ(x.slice(1, 1)(0, 0, 1), 13.0f);
}

TEST_CASE("a parallel loop visits every index once with any number of threads, and rethrows exceptions") {
  for (const std::size_t threads : {1u, 2u, 5u}) {
    thread_pool pool{threads};
    for (int round = 0; round < 200; ++round) {
      std::vector<int> visits(101);
      pool.parallel_for(visits.size(), [&](std::size_t i, std::size_t worker) {
        REQUIRE(worker < threads);
        ++visits[i];
      });
      CHECK_EQ(std::count(visits.begin(), visits.end(), 1), 101);
    }
    CHECK_THROWS_AS(pool.parallel_for(7,
                                      [](std::size_t i, std::size_t) {
                                        if (i == 5) throw error{"five"};
                                      }),
                    error);
  }
}

TEST_CASE("an output file appears only when it is committed") {
  const temporary_folder folder;
  {
    output_file file{folder / "a"};
    file.write(std::string_view{"half"});
  }
  CHECK(std::filesystem::is_empty(folder.path));
  write_file(folder / "a", "whole");
  const mapped_file mapped{folder / "a"};
  CHECK_EQ(mapped.bytes().size(), 5);
  CHECK_EQ(std::distance(std::filesystem::directory_iterator{folder.path}, std::filesystem::directory_iterator{}), 1);
  CHECK_THROWS_AS(write_file(folder / "missing" / "a", ""), file_error);
  CHECK_THROWS_AS(mapped_file{folder / "missing"}, file_error);
  CHECK_THROWS_AS(mapped_file{folder.path}, file_error);
}

TEST_CASE("a file on a file system without shared mappings, or without any, is mapped privately or read") {
  const temporary_folder folder;
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i);
  folder.put("a", text);
  const int fd = ::open((folder / "a").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE_GE(fd, 0);
  const auto no_shared = [](void* at, std::size_t size, int access, int kind, int file, ::off_t begin) -> void* {
    errno = ENODEV;
    return kind == MAP_SHARED ? MAP_FAILED : ::mmap(at, size, access, kind, file, begin);
  };
  const auto none = [](void*, std::size_t, int, int, int, ::off_t) -> void* {
    errno = ENODEV;
    return MAP_FAILED;
  };
  for (detail::map_call* map : {static_cast<detail::map_call*>(&::mmap), static_cast<detail::map_call*>(no_shared),
                                static_cast<detail::map_call*>(none)}) {
    const std::byte* bytes = detail::map_file(fd, text.size(), map);
    REQUIRE(bytes != nullptr);
    CHECK(std::string_view{reinterpret_cast<const char*>(bytes), text.size()} == text);
    ::munmap(const_cast<std::byte*>(bytes), text.size());
  }
  CHECK(detail::map_file(fd, text.size() + 1, none) == nullptr);  // shorter than it was
  CHECK_EQ(errno, EIO);
  ::close(fd);
  CHECK(detail::map_file(fd, text.size(), none) == nullptr);
  CHECK_EQ(errno, EBADF);
}

TEST_CASE("a symbolic link stays, and what it points to is written") {
  const temporary_folder folder;
  std::filesystem::create_directories(folder / "deep/below");
  folder.put("deep/file", "old");
  std::filesystem::create_symlink("../file", folder / "deep/below/relative");
  std::filesystem::create_symlink(folder / "deep/below/relative", folder / "chain");
  std::filesystem::create_symlink("deep/new", folder / "dangling");
  std::filesystem::create_symlink("circle", folder / "circle");
  std::filesystem::create_symlink("deep", folder / "to-a-folder");
  std::filesystem::create_symlink("nowhere/file", folder / "to-nowhere");
  write_file(folder / "chain", "changed");
  write_file(folder / "dangling", "made");
  for (const char* link : {"chain", "deep/below/relative", "dangling"}) {
    CHECK(std::filesystem::is_symlink(folder / link));
  }
  CHECK_EQ(content_of(folder / "deep/file"), "changed");
  CHECK_EQ(content_of(folder / "deep/new"), "made");
  for (const char* link : {"circle", "to-a-folder", "to-nowhere"}) {
    CHECK_THROWS_AS(write_file(folder / link, ""), file_error);
    CHECK(std::filesystem::is_symlink(folder / link));
  }
  CHECK_EQ(std::distance(std::filesystem::recursive_directory_iterator{folder.path}, {}), 10);
}

TEST_CASE("a device, a pipe and a stream are written and not replaced") {
  const temporary_folder folder;
  for (const char* device : {"null", "full"}) {
    std::filesystem::create_symlink(std::filesystem::path{"/dev"} / device, folder / device);
  }
  write_file(folder / "null", "nothing");
  CHECK_THROWS_AS(write_file(folder / "full", "nothing"), write_error);
  for (const char* device : {"null", "full"}) {
    CHECK(std::filesystem::is_symlink(folder / device));
    CHECK(std::filesystem::is_character_file(folder / device));
  }

  const auto text_of = [](int end) {
    char bytes[20];
    return std::string{bytes, static_cast<std::size_t>(::read(end, bytes, sizeof bytes))};
  };
  const std::filesystem::path named = folder / "pipe";
  REQUIRE_EQ(::mkfifo(named.c_str(), 0600), 0);
  const int end = ::open(named.c_str(), O_RDONLY | O_NONBLOCK);
  write_file(named, "through a pipe");
  CHECK_EQ(text_of(end), "through a pipe");
  CHECK(std::filesystem::is_fifo(named));
  ::close(end);

  int ends[2];
  REQUIRE_EQ(::pipe(ends), 0);
  write_file("/dev/fd/" + std::to_string(ends[1]), "by its number");
  CHECK_EQ(text_of(ends[0]), "by its number");
  ::close(ends[0]);
  ::close(ends[1]);

  // A file that is a stream, as stdout is in `program --out /dev/stdout >> log`, resumes at its end.
  folder.put("log", "before, ");
  const int log = ::open((folder / "log").c_str(), O_WRONLY | O_APPEND);
  write_file("/proc/self/fd/" + std::to_string(log), "after");
  CHECK_EQ(::write(log, ".", 1), 1);
  ::close(log);
  CHECK_EQ(content_of(folder / "log"), "before, after.");
  CHECK_EQ(std::distance(std::filesystem::directory_iterator{folder.path}, {}), 4);
}

TEST_CASE("an output file never takes the number of a standard stream that is closed") {
  const temporary_folder folder;
  const int kept = ::dup(STDIN_FILENO);
  ::close(STDIN_FILENO);
  {
    output_file file{folder / "a"};
    CHECK_EQ(::fcntl(STDIN_FILENO, F_GETFD), -1);
    file.write(std::string_view{"data"});
    file.commit();
  }
  if (kept >= 0) ::dup2(kept, STDIN_FILENO);
  ::close(kept);
  CHECK_EQ(content_of(folder / "a"), "data");
}

TEST_CASE("JSON text that is not UTF-8 is replaced as Python does") {
  json_writer json;  // "…".decode(errors="replace") gives 1, 1, 1 + 1 and 3 replacements
  json.begin_object().field("a\xff", "\xe2\x82|\xc0\xaf|\xed\xa0\x80").end_object();
  CHECK_EQ(json.text(), "{\"a\ufffd\":\"\ufffd|\ufffd\ufffd|\ufffd\ufffd\ufffd\"}");
}

TEST_CASE("JSON text is escaped and numbers read back") {
  json_writer json;
  json.begin_object().field("a\"\\\n<\x01", 0.1).field("n", std::nan("")).key("l").begin_array();
  json.value(1).value(true).begin_object().end_object().end_array().end_object();
  CHECK_EQ(json.text(), R"({"a\"\\\n\u003c\u0001":0.1,"n":null,"l":[1,true,{}]})");
}

TEST_CASE("an error names file, item, expected and found, and leaves out what is empty") {
  CHECK_EQ(std::string{bad_input("f", "i", "e", "x").what()}, "f: i: expected e, found x");
  CHECK_EQ(std::string{bad_input("f", "", "", "x").what()}, "f: found x");
}

TEST_CASE("a message is safe to show whatever a file contains: one line of UTF-8, long parts cut") {
  const bad_input refusal("f", "entry \"caf\u00e9\"", "a\nb\x1b[2J\x7f", "\xff\xc3" + std::string(5000, 'x'));
  const std::string message = refusal.what();
  CHECK(message.starts_with("f: entry \"caf\u00e9\": expected a\\x0ab\\x1b[2J\\x7f, found \\xff\\xc3xxx"));
  CHECK(message.ends_with("xxx..."));
  CHECK_LT(message.size(), 1200);
  CHECK_EQ(refusal.expected(), "a\\x0ab\\x1b[2J\\x7f");
  CHECK_EQ(detail::printable("a\u0085\u00a0", 100), "a\\xc2\\x85\u00a0");  // U+0085 is a control character
  CHECK_EQ(detail::printable("\u20ac\u20ac", 1), "\u20ac...");             // never half a character
}

namespace {
/// The message of mapping a path.
std::string refusal_of(const std::filesystem::path& path) {
  try {
    mapped_file{path};
  } catch (const file_error& refusal) {
    return refusal.what();
  }
  return "";
}
}  // namespace

TEST_CASE(
    "anything but a regular file is refused at once: folders, pipes, devices, links to nothing and to themselves") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  CHECK(refusal_of(folder.path).ends_with("expected a regular file, found a folder"));
  CHECK(refusal_of(folder / "none").ends_with("expected a readable file, found No such file or directory"));
  CHECK(refusal_of("/dev/zero").ends_with("found a device, pipe or socket"));
  REQUIRE_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  CHECK(refusal_of(folder / "pipe").ends_with("found a device, pipe or socket"));  // and does not wait for a writer
  fs::create_symlink("gone", folder / "link");
  CHECK(refusal_of(folder / "link").ends_with("found a broken link"));
  CHECK(file_present(folder / "link"));
  CHECK_FALSE(file_present(folder / "none"));
  fs::create_symlink("loop", folder / "loop");
  CHECK(refusal_of(folder / "loop").find("expected a readable file, found Too many") != std::string::npos);
  CHECK_FALSE(refusal_of(folder / std::string(5000, 'x')).empty());
}

TEST_CASE("a mapped file may be replaced or removed, but reading one that was cut raises SIGBUS") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  const fs::path path = folder / "mapped";
  std::ofstream{path} << std::string(100000, 'a');
  const mapped_file file{path};
  std::ofstream{path.string() + ".new"} << "b";
  fs::rename(path.string() + ".new", path);
  CHECK_EQ(file.bytes()[99999], std::byte{'a'});
  fs::remove(path);
  CHECK_EQ(file.bytes()[50000], std::byte{'a'});

  std::ofstream{path} << std::string(100000, 'a');
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGBUS, SIG_DFL);  // a sanitizer would report it instead
    const mapped_file cut{path};
    fs::resize_file(path, 10);
    ::_exit(static_cast<int>(cut.bytes()[99999]));
  }
  int status = 0;
  REQUIRE_EQ(::waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status));
  CHECK_EQ(WTERMSIG(status), SIGBUS);
}

TEST_CASE("architectures that differ in the nonlinearity alone are described differently") {
  std::set<std::string> seen;
  const int all = static_cast<int>(activation::identity) + 1;
  for (int i = 0; i < all; ++i) seen.insert(describe(architecture{.nonlinearity = static_cast<activation>(i)}));
  CHECK_EQ(seen.size(), static_cast<std::size_t>(all));
  CHECK(describe(architecture{}).find("ffn 3072 (relu), embedding") != std::string::npos);
}

// SPDX-License-Identifier: MIT
#pragma once
// The state of a long run in a file, so that it can be stopped and taken up again.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/units/unit_sums.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace optscope {

/// How far a run over texts has come: the next window to run.
struct run_place {
  std::uint64_t text = 0, window = 0;
};

namespace detail {
inline constexpr std::string_view saved_sums_mark = "optscope unit sums 1\n";
}

/// Writes the sums beside the real name and renames, so that a crash leaves the state before. `fingerprint` says what
/// run they belong to.
inline void save_sums(const std::filesystem::path& file, const std::string& fingerprint, const run_place& next,
                      unit_sums& sums) {
  output_file out{file};
  const std::uint64_t length = fingerprint.size();
  out.write(detail::saved_sums_mark);
  out.write(std::as_bytes(std::span{&length, 1}));
  out.write(fingerprint);
  out.write(std::as_bytes(std::span{&next, 1}));
  sums.for_each_array([&](auto values) { out.write(std::as_bytes(values)); });
  out.commit();
}

/// Reads the sums of the same run and gives the place to go on; the beginning if there is no file. Throws `bad_input`
/// if the file is another run's or broken.
[[nodiscard]] inline run_place load_sums(const std::filesystem::path& file, const std::string& fingerprint,
                                         unit_sums& sums) {
  std::error_code status;
  if (!std::filesystem::exists(file, status)) return {};
  const mapped_file mapped{file};
  auto rest = mapped.bytes();
  const auto refuse = [&](const char* found) {
    throw bad_input{file.string(), "", "the saved state of this run (remove it to begin anew)", found};
  };
  const auto take = [&](void* to, std::size_t size) {
    if (rest.size() < size) refuse("a shorter file");
    std::memcpy(to, rest.data(), size);
    rest = rest.subspan(size);
  };
  std::string mark(detail::saved_sums_mark.size(), '\0');
  take(mark.data(), mark.size());
  if (mark != detail::saved_sums_mark) refuse("something else");
  std::uint64_t length = 0;
  take(&length, sizeof length);
  if (length != fingerprint.size()) refuse("that of another model, other texts or other options");
  std::string found(fingerprint.size(), '\0');
  take(found.data(), found.size());
  if (found != fingerprint) refuse("that of another model, other texts or other options");
  run_place next;
  take(&next, sizeof next);
  sums.for_each_array([&](auto values) { take(values.data(), values.size_bytes()); });
  if (!rest.empty()) refuse("a longer file");
  return next;
}

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// A line on the terminal that says how far a program is.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace program {

/// A line on stderr that counts up, only where stderr is a terminal; it is removed when the work is done.
class progress {
 public:
  explicit progress(std::string what);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { clear(); }

  /// Removes the line, so that something else can be written there.
  void clear();

  void operator()(std::size_t done, std::size_t total);

  /// `text()` is called only when a line is drawn, at most ten times a second.
  void show(const std::function<std::string()>& text);

 private:
  std::string what_;
  bool shown_, drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace program

// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace program {

progress::progress(std::string what) : what_{std::move(what)}, shown_{::isatty(STDERR_FILENO) == 1} {}

void progress::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void progress::operator()(std::size_t done, std::size_t total) {
  show([&] { return std::to_string(done) + "/" + std::to_string(total); });
}

void progress::show(const std::function<std::string()>& text) {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || (drawn_ && now - last_ < std::chrono::milliseconds{100})) return;
  std::fprintf(stderr, "\r\033[K%s %s", what_.c_str(), text().c_str());
  std::fflush(stderr);
  last_ = now;
  drawn_ = true;
}

}  // namespace program

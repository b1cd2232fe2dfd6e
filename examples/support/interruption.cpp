// SPDX-License-Identifier: MIT
#include "interruption.hpp"

#include <signal.h>

#include <csignal>

namespace program {
namespace {

volatile std::sig_atomic_t was_requested = 0;

}  // namespace

interruption::interruption() {
  was_requested = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { was_requested = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

interruption::~interruption() {
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
}

bool interruption::requested() noexcept { return was_requested != 0; }

}  // namespace program

// SPDX-License-Identifier: MIT
#pragma once
// Ctrl-C: a program saves what is half done before it ends.

namespace program {

/// While one of these lives, the first Ctrl-C (or SIGTERM) only sets `requested`; the second ends the program at once.
///
///     const program::interruption ctrl_c;
///     while (work_left) {
///       do_some_work();
///       if (ctrl_c.requested()) {
///         save();
///         throw optscope::error{"stopped after 3 of 10 texts; the same command resumes"};
///       }
///     }
class interruption {
 public:
  interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;
  ~interruption();

  [[nodiscard]] static bool requested() noexcept;
};

}  // namespace program

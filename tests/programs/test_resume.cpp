// SPDX-License-Identifier: MIT
// `capture` killed in the middle, or out of room, and run again.
#include <string>
#include <vector>

#include "programs/run_program.hpp"

using namespace program_tests;

namespace {

/// Enough texts for a run to be caught in the middle of it.
std::string many_ids() {
  std::string ids = "[";
  for (int text = 0; text < 60; ++text) {
    ids += text == 0 ? "[2" : ",[2";
    for (int i = 1; i < 200 + text; ++i) ids += "," + std::to_string((text * 13 + i * i) % 101);
    ids += "]";
  }
  return ids + "]";
}

std::string command(const sandbox& box) {
  box.write("ids.json", many_ids());
  return std::string{OPTSCOPE_PROGRAMS_DIR} + "/capture --model '" + tiny_model.string() +
         "' --ids ids.json --sites resid_post,mlp_post,pattern --memory 1 --threads 1 --out ";
}

}  // namespace

TEST_CASE("a capture that is killed resumes to the bytes of one that was not") {
  const sandbox box;
  const std::string capture = command(box);
  check_done(box.shell(capture + "whole"));
  const std::string expected = content_of(box / "whole");
  const auto killed = box.shell(capture +
                                "out & pid=$!; for i in $(seq 100000); do"
                                "  [ \"$(stat -c %s out.partial 2>/dev/null || echo 0)\" -gt 3000000 ] && break; done;"
                                " kill -9 $pid; wait $pid; echo $?");
  CHECK_EQ(killed.out, "137\n");
  REQUIRE(fs::exists(box / "out.partial"));
  REQUIRE_FALSE(fs::exists(box / "out"));
  CHECK(fs::file_size(box / "out.partial") < expected.size());
  const auto resumed = box.shell(capture + "out");
  CHECK_EQ(resumed.code, 0);
  CHECK(resumed.err.find("capture: out.partial has ") == 0);
  CHECK(resumed.err.find(" of 60 texts; resuming from there\n") != std::string::npos);
  CHECK(content_of(box / "out") == expected);
  CHECK_FALSE(fs::exists(box / "out.partial"));
}

TEST_CASE("a capture says when the disk is full, and resumes once there is space") {
  const sandbox box;
  const std::string capture = command(box);
  check_done(box.shell(capture + "whole"));
  const auto full = box.shell("trap '' XFSZ; ulimit -f 8000; " + capture + "out");  // blocks of 512 or 1024 bytes
  check_refused(full, 1, "capture", "out: cannot write: File too large");
  CHECK_FALSE(fs::exists(box / "out"));
  REQUIRE(fs::exists(box / "out.partial"));
  CHECK_EQ(box.shell(capture + "out").code, 0);
  CHECK(content_of(box / "out") == content_of(box / "whole"));
}

// SPDX-License-Identifier: MIT
// Saved analyses come back as they were, those of others and broken ones not at all.
#include <doctest/doctest.h>

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optscope/core/output_file.hpp>
#include <optscope/core/saved_state.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <random>
#include <spectrum/known_spectrum.hpp>

#include "temporary_folder.hpp"

using namespace optscope;

namespace {

struct saved_file {
  temporary_folder folder;
  std::filesystem::path path = folder / "state";
  [[nodiscard]] std::string bytes() const { return content_of(path); }
};

}  // namespace

TEST_CASE("a band that was saved gives the values of the whole run") {
  const saved_file file;
  const tensor<double, 2> matrix = matrix_with(150, 150, log_uniform(150, 3, 1e-6));
  matrix_operator<double> op{matrix};
  band_matrix band, read;
  const spectrum whole = exact{}(op, &band);
  write_state(file.path, "matrix 150", band);
  REQUIRE(read_state(file.path, "matrix 150", read));
  CHECK(read.diagonals == band.diagonals);
  analysis_settings nothing_long;
  nothing_long.memory = 1;  // the matrix does not fit: it is not needed any more
  CHECK(exact{nothing_long}(op, &read).values == whole.values);
}

TEST_CASE("a dense analysis that was stopped on the way to the band goes on to the bits of one run") {
  const saved_file file;
  const tensor<double, 2> matrix = matrix_with(400, 400, log_uniform(400, 3, 1e-6));
  matrix_operator<double> op{matrix};
  const auto check = [&](auto analyser_of) {
    analysis_settings settings;
    settings.threads = 2;
    const spectrum whole = analyser_of(settings)(op);
    int panels = 0;
    settings.progress = [&](const analysis_progress& at) { return at.stage != "dense to band" || ++panels < 4; };
    band_matrix state, read;
    CHECK(analyser_of(settings)(op, &state).outcome == spectrum_outcome::stopped);
    CHECK(state.reduced == 256);
    write_state(file.path, "half", state);
    REQUIRE(read_state(file.path, "half", read));
    settings.progress = [&](const analysis_progress& at) {
      CHECK((at.stage == "dense to band" || at.stage == "band to values"));
      return true;
    };
    const spectrum resumed = analyser_of(settings)(op, &read);
    CHECK(resumed.outcome == spectrum_outcome::complete);
    CHECK(resumed.values == whole.values);
    CHECK(read.unreduced.empty());
    state.unreduced.pop_back();
    CHECK_THROWS_WITH_AS(static_cast<void>(analyser_of(settings)(op, &state)), doctest::Contains("saved matrix"),
                         bad_input);
  };
  check([](const analysis_settings& settings) { return exact{settings}; });
  check([](const analysis_settings& settings) { return gram{settings}; });
}

TEST_CASE("a quadrature that was saved goes on to the bits of one run, and its density is saved whole") {
  const saved_file file;
  const tensor<double, 2> matrix = matrix_with(120, 120, log_uniform(120, 1, 0.01));
  matrix_operator<double> op{matrix};
  quadrature_state<double> state, read;
  static_cast<void>(lanczos_quadrature{{{}, 7, 3, 1}}(op, &state));
  write_state(file.path, "steps", state, std::vector<std::size_t>{4, 5});
  std::vector<std::size_t> numbers;
  REQUIRE(read_state(file.path, "steps", read, numbers));
  CHECK(numbers == std::vector<std::size_t>{4, 5});
  const spectrum resumed = lanczos_quadrature{{{}, 20, 3, 1}}(op, &read),
                 whole = lanczos_quadrature{{{}, 20, 3, 1}}(op);
  CHECK(resumed.density->nodes == whole.density->nodes);
  CHECK(resumed.density->weights == whole.density->weights);

  spectrum found;
  write_state(file.path, "done", whole);
  REQUIRE(read_state(file.path, "done", found));
  CHECK(found.method == "quadrature");
  CHECK(found.size == 120);
  CHECK(found.values == whole.values);
  REQUIRE(found.density);
  CHECK(found.density->nodes == whole.density->nodes);
  CHECK(found.density->whole == whole.density->whole);
}

TEST_CASE("what is not there, of another analysis, or broken is not read") {
  const saved_file file;
  spectrum found;
  CHECK_FALSE(read_state(file.path, "a", found));
  spectrum written;
  written.values = log_uniform(30, 1, 0.1);
  written.method = "exact";
  written.density.emplace().nodes = {{1, 2}, {3}};
  write_state(file.path, "model a\ntokens 1 2 3", written);
  CHECK_THROWS_WITH_AS(static_cast<void>(read_state(file.path, "model a\ntokens 1 2 4", found)),
                       doctest::Contains("expected tokens 1 2 4, found tokens 1 2 3"), bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(read_state(file.path, "model b\ntokens 1 2 3", found)),
                       doctest::Contains("expected model b, found model a"), bad_input);

  const std::string good = file.bytes();
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_file(file.path, good.substr(0, size));
    CHECK_THROWS_AS(static_cast<void>(read_state(file.path, "model a\ntokens 1 2 3", found)), bad_input);
  }
  write_file(file.path, good + "x");
  CHECK_THROWS_WITH_AS(static_cast<void>(read_state(file.path, "model a\ntokens 1 2 3", found)),
                       doctest::Contains("1 bytes after its end"), bad_input);
  std::mt19937 random{3};
  for (int round = 0; round < 2000; ++round) {  // whatever it holds: read or refused, never more memory than its size
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    write_file(file.path, bad);
    try {
      static_cast<void>(read_state(file.path, "model a\ntokens 1 2 3", found));
    } catch (const bad_input&) {
    }
  }
}

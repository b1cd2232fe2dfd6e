// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/sink.hpp>
#include <string>
#include <utility>
#include <vector>

#include "temporary_folder.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

const architecture sink_shape{.layers = 2, .hidden = 6, .heads = 3, .ffn = 8, .embed_dim = 6, .vocabulary = 9};
const std::vector<std::size_t> lengths{3, 5, 1, 4};
using file_sink = sink<resumable_safetensors, site::embed, site::pattern, site::mlp_out>;

file_sink open(const fs::path& path, std::map<std::string, std::string> metadata = {{"format", "pt"}}) {
  capture<site::embed, site::pattern, site::mlp_out> what{positions{[](std::size_t n) {
    return std::vector{n - 1, n / 2};
  }}};
  what.only_layers({1});
  return {path, sink_shape, lengths, std::move(what), metadata};
}

template <class Site, std::size_t Rank>
void show(file_sink& to, Site site, std::size_t layer, std::size_t text, std::size_t number,
          std::array<std::size_t, Rank> extents) {
  tensor<float, Rank> values{extents};
  for (std::size_t i = 0; i < values.size(); ++i)
    values.data()[i] = static_cast<float>(1000 * number + 100 * layer + i);
  to(site, place{text, layer, 0}, tensor_view<const float, Rank>{values});
}

/// Shows the next `count` texts as a run would.
void run(file_sink& to, std::size_t count) {
  const std::size_t first = to.next_text();
  const auto begin = lengths.begin() + static_cast<std::ptrdiff_t>(first);
  to.begin({sink_shape, {begin, begin + static_cast<std::ptrdiff_t>(count)}});
  for (std::size_t text = 0; text < count; ++text) {
    const std::size_t n = lengths[first + text];
    show<site::embed, 2>(to, {}, 0, text, first + text, {n, 6});
    show<site::pattern, 3>(to, {}, 1, text, first + text, {3, n, n});
    show<site::mlp_out, 2>(to, {}, 1, text, first + text, {n, 6});
  }
  to.end();
}

}  // namespace

TEST_CASE("a sink has each text's chosen rows, whatever the runs were") {
  const temporary_folder box;
  file_sink once = open(box / "once"), in_two = open(box / "two");
  run(once, 4);
  CHECK_FALSE(fs::exists(box / "once"));
  once.commit();
  run(in_two, 1);
  run(in_two, 3);
  CHECK_EQ(in_two.next_batch(1), 0);
  in_two.commit();
  CHECK_EQ(content_of(box / "once"), content_of(box / "two"));
  CHECK_FALSE(fs::exists(box / "once.partial"));
  const tensor_table table = read_safetensors((box / "once").string());
  CHECK_EQ(table.tensors.size(), 12);
  CHECK_EQ(table.tensors.at("1.pattern.1").shape(), std::vector<std::size_t>{3, 2, 5});
  std::vector<float> rows(2 * 6);
  table.tensors.at("3.mlp_out.1").copy_to(rows.data());  // positions 3 and 2
  CHECK_EQ(rows[0], 3000 + 100 + 18);
  CHECK_EQ(rows[6], 3000 + 100 + 12);
}

TEST_CASE("wherever a kill cuts the file, writing resumes and ends with the same bytes") {
  const temporary_folder box;
  file_sink whole = open(box / "whole");
  run(whole, 4);
  const std::string partial = content_of(box / "whole.partial");
  whole.commit();
  const std::string expected = content_of(box / "whole");
  REQUIRE_EQ(partial, expected);
  std::size_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header * 256 + static_cast<unsigned char>(expected[i]);
  header += 8;
  std::vector<std::size_t> found(5);
  std::vector<std::size_t> sizes{expected.size()};
  for (std::size_t size = 0; size < expected.size(); size += size < header ? 97 : 4) sizes.push_back(size);
  for (const std::size_t size : sizes) {
    std::ofstream{box / "cut.partial", std::ios::binary} << expected.substr(0, size);
    file_sink again = open(box / "cut");
    ++found[again.next_text()];
    while (const std::size_t count = again.next_batch(1)) run(again, count);
    again.commit();
    REQUIRE_EQ(content_of(box / "cut"), expected);
  }
  for (const std::size_t times : found) CHECK(times > 0);
}

TEST_CASE("what is left of another file, or no whole text, is not resumed") {
  const temporary_folder box;
  {
    file_sink first = open(box / "out");
    run(first, 2);
  }
  CHECK(fs::exists(box / "out.partial"));
  CHECK_EQ(open(box / "out").next_text(), 2);
  CHECK_EQ(open(box / "out", {{"format", "pt"}, {"model", "another"}}).next_text(), 0);
  CHECK_FALSE(fs::exists(box / "out.partial"));  // begun anew, and nothing came
  file_sink holder = open(box / "out");
  CHECK_THROWS_AS(open(box / "out"), file_error);
  CHECK_THROWS_AS(open(box.path), file_error);
  CHECK_THROWS_AS(open(box / "missing/out"), file_error);
  CHECK_THROWS_AS(holder.begin({sink_shape, {4}}), bad_input);
  CHECK_THROWS_AS(holder.begin({sink_shape, {3, 5, 1, 4, 4}}), bad_input);
  CHECK_THROWS_AS(holder.begin({.shape = sink_shape, .lengths = {3}, .cached = {1}}), bad_input);
  CHECK_THROWS_AS(holder.commit(), std::logic_error);
}

TEST_CASE("a batch takes about the bytes asked for, and at least one text") {
  const temporary_folder box;
  file_sink file = open(box / "out");
  CHECK_EQ(file.next_batch(1), 1);
  // Of text 0: two rows of 6 + 3 * 3 + 6 floats, and a stream of 3 * 6; of text 1: 2 * (6 + 15 + 6) and 30.
  CHECK_EQ(file.next_batch(4 * (42 + 18)), 1);
  CHECK_EQ(file.next_batch(4 * (42 + 18 + 54 + 30)), 2);
  CHECK_EQ(file.next_batch(4 * (42 + 18 + 54 + 30) - 1), 1);
  CHECK_EQ(file.next_batch(1 << 20), 4);
}

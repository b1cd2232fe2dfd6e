// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "attack.hpp"

using namespace optscope;
using attack::refused;
using attack::safetensors;

namespace {
tensor_table read(const std::string& bytes) {
  const temporary_folder folder;
  return read_safetensors(folder.put("model.safetensors", bytes));
}

/// A header of one tensor `x`.
std::string one(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}
std::string zeros(std::size_t count) { return std::string(count, '\0'); }
}  // namespace

TEST_CASE("a header of any length, order and spacing is read, and values need not be aligned") {
  std::string data = "?";
  for (const float value : {1.5f, -2.0f, 0.25f, 8.0f}) data += attack::little_endian(value);
  const tensor_table table =
      read(safetensors("  {\"w\": {\"data_offsets\":[1,17], \"shape\":[2,2], \"dtype\":\"F32\"},\n"
                       "\"b\": {\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}, \"__metadata__\":{}}\t\r\n ",
                       data));
  const stored_tensor& w = table.tensors.at("w");
  CHECK_EQ(w.shape(), std::vector<std::size_t>{2, 2});
  std::vector<double> values(4);
  w.copy_to(values.data());
  CHECK_EQ(values, std::vector<double>{1.5, -2, 0.25, 8});
  CHECK_EQ(table.unsupported.at("b"), "U8");
}

TEST_CASE("test vectors of the reference implementation give the same result") {
  CHECK_EQ(read(safetensors(R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}    )", zeros(16)))
               .unsupported.at("test"),
           "I32");
  CHECK(read(safetensors("{}\r \t\n", "")).tensors.empty());
  CHECK_EQ(read(safetensors(one("F16", "[0,3]", "[0,0]"), "")).tensors.at("x").size(), 0u);
  CHECK_EQ(read(safetensors(one("F16", "[]", "[0,2]"), zeros(2))).tensors.at("x").size(), 1u);
  CHECK_EQ(read(safetensors(one("F4", "[2]", "[0,1]"), zeros(1))).unsupported.at("x"), "F4");
}

TEST_CASE("wrong lengths are refused") {
  refused([] { return read(""); }, "expected a safetensors file of at least 8 bytes, found 0");
  refused([] { return read("1234567"); }, "at least 8 bytes");
  refused([] { return read(attack::u64(1)); }, "header length: expected at most 0, found 1");
  refused([] { return read(attack::u64(~0ull) + "{}"); }, "found 18446744073709551615");
  refused([] { return read(attack::u64(100'000'001) + "{}"); }, "header length");
  refused([] { return read(attack::u64(0)); }, "JSON");
  const std::string whole = safetensors(one("F32", "[2,2]", "[0,16]"), zeros(16));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    refused([&] { return read(whole.substr(0, length)); }, "model.safetensors");
  }
  refused([&] { return read(whole + "extra_bogus_data_for_polyglot_file"); }, "expected 16 bytes after the header");
}

TEST_CASE("a file of another format is refused by its format") {
  refused([] { return read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"); }, "git-lfs pointer");
  refused([] { return read("<!DOCTYPE html><html></html>"); }, "HTML");
  refused([] { return read("PK\x03\x04 and so on"); }, "a zip archive");
  refused([] { return read(zeros(100)); }, "JSON");
}

TEST_CASE("a header that is not an object of tensors is refused") {
  refused([] { return read(safetensors("[]", "")); }, "a JSON object");
  refused([] { return read(safetensors("{\"x\":\xff}", "")); }, "JSON");
  refused([] { return read(safetensors("{} {}", "")); }, "JSON");
  refused([] { return read(safetensors(std::string{"{}\0", 3}, "")); }, "JSON");
  refused([] { return read(safetensors(R"({"x":3})", "")); }, "tensor \"x\": expected a JSON object, found 3");
  refused([] { return read(safetensors(R"({"__metadata__":{"format":1}})", "")); }, "__metadata__.format");
  refused([] { return read(safetensors(R"({"__metadata__":"pt"})", "")); }, "__metadata__");
  refused([] { return read(safetensors(R"({"__metadata__":{"a":"1","a":"2"}})", "")); },
          "__metadata__: duplicate key \"a\"");
  refused([] { return read(safetensors(std::string(200000, '['), "")); }, "JSON");
  const std::string tensor = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  refused([&] { return read(safetensors("{\"x\":" + tensor + ",\"x\":" + tensor + "}", zeros(4))); },
          "duplicate key \"x\"");
  refused([&] { return read(safetensors("{\"x\":" + tensor + ",\"\\u0078\":" + tensor + "}", zeros(4))); },
          "duplicate key \"x\"");
}

TEST_CASE("an entry without exactly its three keys, of their types, is refused") {
  refused([] { return read(safetensors(R"({"x":{"dtype":"F32","shape":[1]}})", zeros(4))); }, "data_offsets");
  refused([] { return read(safetensors(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", zeros(4))); }, "shape");
  refused([] { return read(safetensors(R"({"x":{"shape":[1],"data_offsets":[0,4]}})", zeros(4))); }, "dtype");
  refused([] { return read(safetensors(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"y":0}})", zeros(4))); },
          "found \"y\"");
  refused(
      [] { return read(safetensors(R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "")); },
      "tensor \"x\": duplicate key \"dtype\"");
  refused([] { return read(safetensors(one("F33", "[1]", "[0,4]"), zeros(4))); }, "\"F33\"");
  refused([] { return read(safetensors(one("f32", "[1]", "[0,4]"), zeros(4))); }, "\"f32\"");
  for (const std::string shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "4", "{}", "[99999999999999999999]"}) {
    refused([&] { return read(safetensors(one("F32", shape, "[0,4]"), zeros(4))); }, "model.safetensors");
  }
  for (const std::string offsets : {"[0]", "[0,4,8]", "[4,0]", "[-4,0]", "[0,4.0]", "4", "[]", "[1,0]"}) {
    refused([&] { return read(safetensors(one("F32", "[1]", offsets), zeros(4))); }, "data_offsets");
  }
}

TEST_CASE("sizes that overflow or do not fit their bytes are refused") {
  refused([] { return read(safetensors(one("F32", "[2,18446744073709551614]", "[0,16]"), zeros(16))); }, "64 bits");
  refused([] { return read(safetensors(one("F32", "[2,9223372036854775807]", "[0,16]"), zeros(16))); }, "64 bits");
  refused([] { return read(safetensors(one("F32", "[4294967296,4294967296]", "[0,0]"), "")); }, "64 bits");
  refused([] { return read(safetensors(one("F32", "[2305843009213693952]", "[0,0]"), "")); }, "64 bits");
  refused([] { return read(safetensors(one("F32", "[3]", "[0,16]"), zeros(16))); }, "expected 12 bytes for F32 [3]");
  refused([] { return read(safetensors(one("F32", "[5]", "[0,16]"), zeros(16))); }, "expected 20 bytes");
  refused([] { return read(safetensors(one("F4", "[3]", "[0,1]"), zeros(1))); }, "whole bytes");
  refused([] { return read(safetensors(one("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), zeros(4))); }, "at most 8 axes");
}

TEST_CASE("tensors that overlap, leave holes or do not fill the file are refused") {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  CHECK_EQ(read(safetensors(two("[4,8]", "[0,4]"), zeros(8))).unsupported.size(), 2u);
  refused([&] { return read(safetensors(two("[0,4]", "[0,4]"), zeros(4))); }, "tensor \"b\"");
  refused([&] { return read(safetensors(two("[0,4]", "[2,6]"), zeros(6))); }, "expected to begin at 4");
  refused([&] { return read(safetensors(two("[0,4]", "[5,9]"), zeros(9))); }, "found 5");
  refused([&] { return read(safetensors(two("[1,5]", "[5,9]"), zeros(9))); }, "expected to begin at 0");
  refused([&] { return read(safetensors(two("[0,4]", "[4,8]"), zeros(7))); }, "found 7");
  refused([&] { return read(safetensors(two("[0,4]", "[4,8]"), zeros(9))); }, "found 9");
  refused([] { return read(safetensors(one("U8", "[18446744073709551615]", "[0,18446744073709551615]"), "")); },
          "model.safetensors");
  std::string many = "{";
  for (int i = 0; i < 20000; ++i) {
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[9],"data_offsets":[0,9]})";
  }
  refused([&] { return read(safetensors(many + "}", zeros(9))); }, "expected to begin at 9");
}

TEST_CASE("what the writer writes is read back, in pieces of any size") {
  const temporary_folder folder;
  const auto path = folder.path / "out.safetensors";
  {
    safetensors_writer file{path,
                            {{"wide", {1}, dtype::f64}, {"0.attn_out.11", {2, 3}}, {"none", {0, 4}}, {"b\"\n", {2}}}};
    file.append(std::vector<double>{0.1});
    file.append(std::vector<float>{1, 2, 3, 4});
    CHECK_THROWS_AS(file.commit(), std::logic_error);
    CHECK_THROWS_AS(file.append(std::vector<double>{1}), std::logic_error);
    CHECK_FALSE(std::filesystem::exists(path));
    file.append(std::vector<float>{5, 6, 7, 8});
    CHECK_THROWS_AS(file.append(std::vector<float>{9}), std::logic_error);
    file.commit();
  }
  const tensor_table table = read_safetensors(path);
  REQUIRE_EQ(table.tensors.size(), 4u);
  std::vector<float> values(6);
  table.tensors.at("0.attn_out.11").copy_to(values.data());
  CHECK_EQ(values, std::vector<float>{1, 2, 3, 4, 5, 6});
  table.tensors.at("b\"\n").copy_to(values.data());
  CHECK_EQ(values[1], 8.0f);
  double wide = 0;
  table.tensors.at("wide").copy_to(&wide);
  CHECK_EQ(wide, 0.1);
  const std::string bytes = content_of(path);
  CHECK_EQ((bytes.find('\0', 8) - 8) % 8, 0u);
  CHECK_EQ(bytes.substr(8, 34), R"({"__metadata__":{"format":"pt"},"w)");
  CHECK_EQ(std::distance(std::filesystem::directory_iterator{folder.path}, std::filesystem::directory_iterator{}), 1);
}

TEST_CASE("a resumable file through a symbolic link or into a pipe has the same bytes") {
  const temporary_folder folder;
  const std::vector<safetensors_item> items{{.name = "x", .shape = {3}}};
  const std::vector<float> values{1, 2, 3};
  const auto write_to = [&](const std::filesystem::path& path) {
    resumable_safetensors file{path, items, {{"format", "pt"}}};
    CHECK_EQ(file.bytes_found(), 0);
    file.keep(0);
    file.append(values);
    file.sync();
    file.commit();
  };
  write_to(folder / "plain");
  const std::string whole = content_of(folder / "plain");
  std::filesystem::create_symlink("target", folder / "link");
  write_to(folder / "link");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK_EQ(content_of(folder / "target"), whole);
  const std::filesystem::path named = folder / "pipe";
  REQUIRE_EQ(::mkfifo(named.c_str(), 0600), 0);
  const int end = ::open(named.c_str(), O_RDONLY | O_NONBLOCK);
  write_to(named);
  std::string bytes(2 * whole.size(), ' ');
  CHECK_EQ(::read(end, bytes.data(), bytes.size()), static_cast<::ssize_t>(whole.size()));
  ::close(end);
  CHECK_EQ(bytes.substr(0, whole.size()), whole);
  CHECK_EQ(std::distance(std::filesystem::directory_iterator{folder.path}, {}), 4);
}

TEST_CASE("stored bytes are copied unchanged, and mistakes of the caller are errors") {
  const temporary_folder folder;
  const auto path = folder.path / "out.safetensors";
  {
    safetensors_writer file{path, {{"half", {2}, dtype::f16}}, {}};
    CHECK_THROWS_AS(file.append(std::vector<float>{1}), std::logic_error);
    const std::uint16_t halves[] = {0x3c00, 0xc000};
    file.append_stored(std::as_bytes(std::span{halves}), dtype::f16);
    file.commit();
  }
  std::vector<float> values(2);
  read_safetensors(path).tensors.at("half").copy_to(values.data());
  CHECK_EQ(values, std::vector<float>{1, -2});
  using items = std::vector<safetensors_item>;
  CHECK_THROWS_AS((safetensors_writer{path, items{{"a", {1}}, {"a", {1}}}}), std::logic_error);
  CHECK_THROWS_AS((safetensors_writer{path, items{{"__metadata__", {1}}}}), std::logic_error);
  CHECK_THROWS_AS((safetensors_writer{path, items{{"a", {1}}, {"b", {1}, dtype::f64}}}), std::logic_error);
  CHECK_THROWS_AS((safetensors_writer{path, items{{"a", {~std::size_t{0}, 2}}}}), std::logic_error);
  CHECK_THROWS_AS((safetensors_writer{"no-such-folder/a", items{}}), file_error);
}

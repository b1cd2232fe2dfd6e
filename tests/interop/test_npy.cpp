// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/interop/npy.hpp>
#include <stdexcept>
#include <string>

#include "temporary_folder.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {
void put(const fs::path& path, const std::string& bytes) { std::ofstream{path, std::ios::binary} << bytes; }
/// A file with any header text, as version 1.0.
std::string npy(const std::string& dict, std::size_t data_bytes, char version = 1) {
  std::string text{"\x93NUMPY"};
  text += version;
  text += '\0';
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  if (version > 1) text += std::string(2, '\0');
  return text + dict + std::string(data_bytes, '\0');
}
const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";

template <class T>
tensor<T, 2> matrix() {
  tensor<T, 2> values{{2, 3}};
  for (std::size_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<T>(i) - 2;
  return values;
}
}  // namespace

TEST_CASE_TEMPLATE("an array written is read back, and its data begin at a multiple of 64 bytes", T, float, double,
                   std::int32_t, std::int64_t) {
  const temporary_folder folder;
  const auto values = matrix<T>();
  write_npy(folder.path / "a.npy", values);
  const auto back = read_npy<T, 2>(folder.path / "a.npy");
  REQUIRE_EQ(back.shape(), values.shape());
  CHECK(std::equal(back.data(), back.data() + 6, values.data()));
  CHECK_EQ((fs::file_size(folder.path / "a.npy") - 6 * sizeof(T)) % 64, 0u);
}

TEST_CASE("a file of numpy.save is read, and one written here has the same bytes") {
  const temporary_folder folder;
  const std::string dict = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }";
  // As numpy 2.4 writes np.array([[1, 2, 3], [4, 5, 6]], np.int32).
  std::string numpy = std::string{"\x93NUMPY\x01\x00v\x00", 10} + dict + std::string(117 - dict.size(), ' ') + '\n';
  for (const char i : {'\1', '\2', '\3', '\4', '\5', '\6'}) numpy += std::string{i, '\0', '\0', '\0'};
  put(folder.path / "a.npy", numpy);
  const auto values = read_npy<std::int32_t, 2>(folder.path / "a.npy");
  CHECK_EQ(values(1, 2), 6);
  write_npy(folder.path / "b.npy", values);
  CHECK_EQ(content_of(folder.path / "b.npy"), numpy);
  write_npy(folder.path / "b.npy", tensor<float, 1>{{3}});
  CHECK(content_of(folder.path / "b.npy").find("'shape': (3,), }") != std::string::npos);
}

TEST_CASE("rows with gaps between them are written without the gaps") {
  const temporary_folder folder;
  const float data[] = {0, 1, 9, 2, 3, 9};
  write_npy(folder.path / "a.npy", tensor_view<const float, 2>{data, {2, 2}, 3});
  const auto back = read_npy<float, 2>(folder.path / "a.npy");
  CHECK_EQ(back(1, 0), 2.0f);
  CHECK_EQ(back(1, 1), 3.0f);
}

TEST_CASE("an array can be written in pieces, and appears only when it is whole") {
  const temporary_folder folder;
  const auto values = matrix<double>();
  {
    npy_writer<double, 3> file{folder.path / "a.npy", {2, 2, 3}};
    file.append(values.row(0));
    file.append(values.row(1));
    CHECK_THROWS_AS(file.commit(), std::logic_error);
    CHECK_THROWS_AS(file.append(std::span<const double>{values.data(), 7}), std::logic_error);
    CHECK_FALSE(fs::exists(folder.path / "a.npy"));
    file.append(values.view());
    file.commit();
  }
  const auto back = read_npy<double, 3>(folder.path / "a.npy");
  CHECK_EQ(back(1, 1, 2), 3.0);
  CHECK_EQ(std::distance(fs::directory_iterator{folder.path}, fs::directory_iterator{}), 1);
  { npy_writer<double, 1> abandoned{folder.path / "b.npy", {2}}; }
  CHECK_EQ(std::distance(fs::directory_iterator{folder.path}, fs::directory_iterator{}), 1);
}

TEST_CASE("empty arrays keep their shape") {
  const temporary_folder folder;
  write_npy(folder.path / "a.npy", tensor<float, 2>{{0, 7}});
  CHECK_EQ(read_npy<float, 2>(folder.path / "a.npy").extent(1), 7u);
  write_npy(folder.path / "a.npy", tensor<float, 2>{{7, 0}});
  CHECK_EQ(read_npy<float, 2>(folder.path / "a.npy").extent(0), 7u);
}

TEST_CASE("headers of every version, key order and spacing are read") {
  const temporary_folder folder;
  for (const std::string& text : {npy(good, 24), npy(good, 24, 2), npy(good, 24, 3),
                                  npy("{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}\n", 24),
                                  npy("{'fortran_order': False, 'shape': (2, 3,), 'descr': '<f4'}         \n", 24)}) {
    put(folder.path / "a.npy", text);
    CHECK_EQ(read_npy<float, 2>(folder.path / "a.npy").size(), 6u);
  }
}

TEST_CASE("a file of any other type or shape than asked for is refused by name") {
  const temporary_folder folder;
  const fs::path path = folder.path / "a.npy";
  const auto refused = [&](const std::string& bytes, const std::string& expected) {
    put(path, bytes);
    try {
      static_cast<void>(read_npy<float, 2>(path));
      FAIL("read: " << expected);
    } catch (const array_error& error) {
      const std::string message = error.what();
      INFO(message << " should say: " << expected);
      CHECK_EQ(error.file(), path.string());
      CHECK(message.find(expected) != std::string::npos);
    }
  };
  const auto with = [](const std::string& type, const std::string& order, const std::string& shape) {
    return "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  };
  refused("", "a .npy file");
  refused("PK\x03\x04", "a .npy file");
  refused("\x93NUMPY", "version");
  refused("\x93NUMPY\x01", "version");
  refused(npy(good, 24, 4), "version");
  refused(npy(good, 24).substr(0, 9), "header");
  refused(npy(good, 24).substr(0, 40), "header");
  refused(npy(good, 24).substr(0, npy(good, 24).size() - 1), "(2, 3) elements of <f4, found 23 bytes");
  refused(npy(good, 25), "expected 24 bytes, found 25");
  refused(npy(good, 48), "expected 24 bytes, found 48");
  refused(npy(with("<f8", "False", "(2, 3)"), 48), "expected <f4, found \"<f8\"");
  refused(npy(with(">f4", "False", "(2, 3)"), 24), "expected <f4, found \">f4\"");
  refused(npy(with("<f2", "False", "(2, 3)"), 12), "expected <f4, found \"<f2\"");
  refused(npy(with("|O", "False", "(2, 3)"), 24), "found \"|O\"");
  refused(npy(with("", "False", "(2, 3)"), 24), "expected <f4, found \"\"");  // found by fuzzing: nothing found
  refused(npy(with("<f4", "True", "(2, 3)"), 24), "fortran_order");
  refused(npy(with("<f4", "Maybe", "(2, 3)"), 24), "True or False");
  refused(npy(with("<f4", "False", "(6,)"), 24), "expected 2 axes, found (6,)");
  refused(npy(with("<f4", "False", "()"), 4), "2 axes");
  refused(npy(with("<f4", "False", "(6)"), 24), "comma");
  refused(npy(with("<f4", "False", "(-2, -3)"), 24), "whole numbers");
  refused(npy(with("<f4", "False", "(2 3)"), 24), "header");
  refused(npy(with("<f4", "False", "(2, 99999999999999999999)"), 24), "whole numbers");
  refused(npy(with("<f4", "False", "(4294967296, 4294967296)"), 24), "data");
  refused(npy(with("<f4", "False", "(9223372036854775808, 2)"), 0), "data");
  refused(npy(with("<f4", "False", "(4611686018427387904, 1)"), 0), "data");
  refused(npy(with("<f4", "False", "(0, 18446744073709551616)"), 0), "whole numbers");
  refused(npy(with("<f4", "False", "(2.0, 3)"), 24), "header");
  refused(npy(with("<f4", "False", "(2L, 3L)"), 24), "header");  // as Python 2 wrote them
  refused(npy(with("<f4", "False", "(2, 3), (2, 3)"), 24), "header");
  refused(npy(with("<f4", "False", std::string(60000, '(')), 24), "whole numbers");
  refused(npy(with("<f4", "False", "(1, " + std::string(60000, ' ') + "2, 3)"), 24),
          "expected 2 axes, found (1, 2, 3)");
  std::string axes = "(";
  for (int i = 0; i < 65; ++i) axes += "1, ";
  refused(npy(with("<f4", "False", axes + ")"), 24), "whole numbers");
  refused(npy(with("|O", "False", "(2, 3)"), 0) +
              "\x80\x02"
              "cposix\nsystem\n",
          "found \"|O\"");  // pickled objects
  refused(npy(with("<f4\x1b[2J", "False", "(2, 3)"), 24), "found \"<f4\\x1b[2J\"");
  refused(npy(good, 24, 2).replace(8, 4, "\xff\xff\xff\xff"), "header: expected 4294967295 bytes");
  refused(npy(good, 24, 3).replace(8, 4, "\0\0\0\x7f", 4), "header: expected 2130706432 bytes");
  refused(npy(good, 24).replace(8, 2, "\xff\xff"), "header: expected 65535 bytes");
  refused(npy(good, 24).replace(8, 2, "\x05\0", 2), "a string");
  refused(npy("{'descr': '<f4', 'fortran_order': False}\n", 24), "shape");
  refused(npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n", 24), "each once");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}\n", 24), "each once");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24), "line end");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x\n", 24), "line end");
  refused(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }\n", 24), "a string");
  refused(npy("{'descr", 0), "a string");
  refused(npy("", 24), "'{'");
  for (std::size_t length = 0; length < npy(good, 24).size(); ++length) {
    put(path, npy(good, 24).substr(0, length));
    CHECK_THROWS_AS(static_cast<void>(read_npy<float, 2>(path)), array_error);
  }
  CHECK_THROWS_AS(static_cast<void>(read_npy<float, 2>(folder.path / "none.npy")), file_error);
  CHECK_THROWS_AS(static_cast<void>(read_npy<float, 2>(folder.path)), file_error);
}

TEST_CASE("a folder that cannot be written to is an error before anything is computed") {
  CHECK_THROWS_AS((npy_writer<float, 1>{"no-such-folder/a.npy", {1}}), file_error);
}

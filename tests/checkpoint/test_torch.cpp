// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/checkpoint/torch_file.hpp>
#include <string>
#include <vector>

#include "attack.hpp"

using namespace optscope;
using namespace std::string_literals;
using attack::bin;
using attack::dict;
using attack::global;
using attack::item;
using attack::number;
using attack::pickle;
using attack::refused;
using attack::storage;
using attack::text;
using attack::zip;

namespace {
tensor_table read_file(const std::string& bytes) {
  const temporary_folder folder;
  return read_torch(folder.put("pytorch_model.bin", bytes));
}
tensor_table read_pickle(const std::string& value) { return read_file(bin(pickle(value))); }

const std::string floats = storage("FloatStorage", "0", 6);
const std::string matrix = attack::tensor(floats, 0, {2, 3}, {3, 1});
const std::string good = pickle(dict(item("x", matrix)));

std::vector<float> values(const tensor_table& table, const std::string& name) {
  const stored_tensor& tensor = table.tensors.at(name);
  std::vector<float> all(tensor.size());
  tensor.copy_to(all.data());
  return all;
}
}  // namespace

TEST_CASE("a dict of tensors is read, with strides, offsets and shared storages") {
  const auto table = read_pickle(
      dict(item("x", matrix) + item("turned", attack::tensor(floats, 0, {3, 2}, {1, 3})) +
           item("end", attack::tensor(floats, 4, {2}, {1})) + item("odd", attack::tensor(floats, 1, {3}, {2})) +
           item("same", attack::tensor(floats, 5, {2, 2}, {0, 0})) + item("one", attack::tensor(floats, 5, {}, {})) +
           item("none", attack::tensor(floats, 6, {0, 9}, {9, 1}))));
  CHECK_EQ(values(table, "x"), std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK_EQ(values(table, "turned"), std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK_EQ(values(table, "end"), std::vector<float>{4, 5});
  CHECK_EQ(values(table, "odd"), std::vector<float>{1, 3, 5});
  CHECK_EQ(values(table, "same"), std::vector<float>{5, 5, 5, 5});
  CHECK_EQ(values(table, "one"), std::vector<float>{5});
  CHECK(values(table, "none").empty());
  CHECK_EQ(table.tensors.at("x").data(), table.tensors.at("turned").data());
  CHECK(table.tensors.at("x").contiguous());
  CHECK_FALSE(table.tensors.at("turned").contiguous());
  std::vector<double> rows(4);
  table.tensors.at("turned").copy_rows(1, 2, rows.data());
  CHECK_EQ(rows, std::vector<double>{1, 4, 2, 5});
  float one_row[2] = {};
  table.tensors.at("odd").copy_rows(1, 2, one_row);
  CHECK_EQ(one_row[1], 5.0f);
}

TEST_CASE("every form of the opcodes that torch and its users write is understood") {
  const std::string ordered = global("collections", "OrderedDict");
  // Memo slots, both widths, a Parameter in both forms, the old rebuild function, attributes, numbers, lists, None.
  const std::string old = global("torch._utils", "_rebuild_tensor") + "(" + floats + number(0) + attack::numbers({6}) +
                          attack::numbers({1}) + "tR";
  const auto table = read_pickle(
      ordered + ")Rq\x01r\x00\x01\x00\x00("s +
      item("a", global("torch._utils", "_rebuild_parameter") + "(" + matrix + "q\x05\x88" + ordered + ")RtR") +
      item("b", "h\x05"s) + item("c", old) +
      item("d", global("torch.nn.parameter", "Parameter") + matrix + "\x89\x86\x81") +
      item("float", "G\x3f\xe0\0\0\0\0\0\0"s) + item("list", "]N\x61(\x88\x89\x65") +
      item("numbers", "J\xff\xff\xff\xffK\x07M\x01\x02\x87"s) + item("long", "\x8a\x00"s) + item("set", "\x8f") +
      item("old text", "U\x02hi"s) + "u" + text("last") + "j\x00\x01\x00\x00"s.substr(0, 0) + matrix + "s}" +
      text("_metadata") + ordered + ")Rsb");
  CHECK_EQ(table.tensors.size(), 5u);
  CHECK_EQ(table.tensors.at("a").data(), table.tensors.at("b").data());
  CHECK_EQ(values(table, "c"), std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK_EQ(values(table, "last"), values(table, "d"));
}

TEST_CASE("the dict that training programs wrap is found") {
  const std::string inner = dict(item("x", matrix));
  CHECK_EQ(read_pickle(dict(item("epoch", "K\x03") + item("state_dict", inner))).tensors.size(), 1u);
  CHECK_EQ(read_pickle(dict(item("model", inner))).tensors.size(), 1u);
  CHECK_EQ(read_pickle(dict(item("model", dict(item("state_dict", inner))))).tensors.size(), 1u);
  CHECK_EQ(read_pickle(dict(item("model", "}") + item("state_dict", inner))).tensors.size(), 1u);
  CHECK(read_pickle("}").tensors.empty());
  refused([&] { return read_pickle(matrix); }, "a dict of names to tensors");
  refused([&] { return read_pickle("]"); }, "a dict of names to tensors");
  // A dict that holds itself does not keep the reader busy.
  refused([] { return read_pickle("}q\x01" + text("model") + "h\x01s"); }, "a dict of names to tensors");
}

TEST_CASE("integer tensors are listed with their type, and refused only by a model that needs one") {
  const auto table = read_pickle(
      dict(item("x", matrix) + item("i", attack::tensor(storage("LongStorage", "l", 2), 0, {2}, {1}))).substr(0, 0) +
      dict(item("x", attack::tensor(storage("IntStorage", "0", 6), 0, {6}, {1}))));
  CHECK_EQ(table.unsupported.at("x"), "IntStorage");
}

TEST_CASE("a pickle that names any other function is refused by that name, and runs nothing") {
  for (const auto& global_name :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"__builtin__", "exec"},
                                                        {"builtins", "getattr"},
                                                        {"numpy.core.multiarray", "_reconstruct"},
                                                        {"torch", "load"},
                                                        {"torch._utils", "_rebuild_tensor_v3"},
                                                        {"torch.storage", "UntypedStorage"},
                                                        {"collections", "Counter"},
                                                        {"torch", "QInt8Storage"},
                                                        {"torch", "ComplexFloatStorage"},
                                                        {"collections", "OrderedDict.x"},
                                                        {"", ""}}) {
    const std::string module = global_name.first, name = global_name.second;
    refused([&] { return read_pickle(global(module, name) + "(" + text("touch owned") + "tR"); }, module + "." + name);
  }
  refused([] { return read_pickle("c" + std::string(1000, 'a')); }, "a line");
  for (const auto& code : std::vector<std::pair<std::string, std::string>>{{"ios\nsystem\n", "INST"},
                                                                           {"(o", "OBJ"},
                                                                           {"\x93", "STACK_GLOBAL"},
                                                                           {"\x82\x01", "EXT1"},
                                                                           {"\x83\x01\x01", "EXT2"},
                                                                           {"\x84", "EXT4"},
                                                                           {"\x92", "NEWOBJ_EX"},
                                                                           {"\x94", "MEMOIZE"},
                                                                           {"\x95", "FRAME"},
                                                                           {"P1\n", "PERSID"},
                                                                           {"\x8c", "140"},
                                                                           {"I1\n", "73"},
                                                                           {"0", "48"},
                                                                           {"2", "50"},
                                                                           {"\x8b", "LONG4"}}) {
    refused([&] { return read_pickle(code.first); }, code.second);
  }
}

TEST_CASE("calls with anything but torch's own arguments are refused") {
  const std::string v2 = global("torch._utils", "_rebuild_tensor_v2"), od = global("collections", "OrderedDict");
  refused([&] { return read_pickle(od + "(" + text("x") + "tR"); }, "OrderedDict");
  refused([&] { return read_pickle(v2 + ")R"); }, "_rebuild_tensor_v2");
  refused([&] { return read_pickle(v2 + "(NNNNNNtR"); }, "_rebuild_tensor_v2");
  refused([&] { return read_pickle(v2 + "(" + floats + "NNN\x89" + od + ")RtR"); }, "a whole number");
  refused([&] { return read_pickle(v2 + "(NNNN\x89" + od + ")RtR"); }, "a storage for a tensor");
  refused([&] { return read_pickle(v2 + "(" + floats + number(0) + "NN\x89" + od + ")RtR"); }, "a tuple");
  refused([&] { return read_pickle(global("torch", "FloatStorage") + ")R"); }, "FloatStorage");
  refused([&] { return read_pickle(global("torch.nn.parameter", "Parameter") + ")R"); }, "Parameter");
  refused([&] { return read_pickle(global("torch._utils", "_rebuild_parameter") + "(N\x89NtR"); },
          "_rebuild_parameter");
  refused([&] { return read_pickle("N)R"); }, "a known function");
  refused([&] { return read_pickle(od + "NR"); }, "a known function");
  refused([&] { return read_pickle("})R"); }, "a known function");
}

TEST_CASE("items set on anything but a dict, and attributes on anything without them, are refused") {
  refused([] { return read_pickle("]" + text("a") + "Ns"); }, "a dict to set an item of");
  refused([] { return read_pickle("](" + text("a") + "Nu"); }, "a dict to set items of");
  refused([&] { return read_pickle(matrix + "(" + text("a") + "Nu"); }, "a dict to set items of");
  refused([] { return read_pickle("}(" + text("a") + "u"); }, "a key without a value");
  refused([] { return read_pickle("}Na"); }, "a list to append to");
  refused([] { return read_pickle(")(Ne"); }, "a list to append to");
  refused([&] { return read_pickle(matrix + "}b"); }, "attributes");
  refused([] { return read_pickle("}Nb"); }, "attributes");
  refused([&] { return read_pickle(global("collections", "OrderedDict") + "}b"); }, "attributes");
}

TEST_CASE("references to missing stack entries, marks, memo slots and fields are refused") {
  refused([] { return read_pickle(""); }, "one value at the end");
  refused([] { return read_pickle("NN"); }, "one value at the end");
  refused([] { return read_pickle("(N"); }, "one value at the end");
  refused([] { return read_pickle("t"); }, "a mark");
  refused([] { return read_pickle("u"); }, "a mark");
  refused([] { return read_pickle("\x85"); }, "a value on the stack");
  refused([] { return read_pickle("N(\x85"); }, "a value on the stack");
  refused([] { return read_pickle("}(s"); }, "a value on the stack");
  refused([] { return read_pickle("R"); }, "a value on the stack");
  refused([] { return read_pickle("h\x07"); }, "none in slot 7");
  refused([] { return read_pickle("j\xff\xff\xff\xff"); }, "none in slot 4294967295");
  refused([] { return read_pickle("q\x01"); }, "an empty stack");
  refused([] { return read_pickle("X\xff\xff\xff\xff"s); }, "found 4294967295");
  refused([] { return read_pickle("U\xff"); }, "found 255");
  refused([] { return read_pickle("\x8a\x09"s + "123456789"); }, "at most 8 bytes, found 9");
  refused([] { return read_file(bin(good + "N")); }, "expected the end of data.pkl, found 1 bytes more");
  refused([] { return read_file(bin(good.substr(0, good.size() - 1))); }, "the end of the pickle");
  for (std::size_t length = 0; length < good.size(); ++length) {
    refused([&] { return read_file(bin(good.substr(0, length))); }, "data.pkl");
  }
  refused([] { return read_file(bin("\x80\x03}.")); }, "protocol 2");
  refused([] { return read_file(bin("}.")); }, "protocol 2");
}

TEST_CASE("masses of marks, lists and values are refused or read, without deep recursion") {
  refused([] { return read_pickle(std::string(1'000'000, '(')); }, "one value at the end");
  refused([] { return read_pickle(std::string(2'000'000, '}')); }, "at most 1048576 values");
  refused([] { return read_file(bin(std::string((1 << 24) + 1, 'N'))); }, "at most 16 MiB");
  // A tuple in a tuple in a tuple ...
  const auto table = read_pickle(dict(item("deep", "N" + std::string(500'000, '\x85')) + item("x", matrix)));
  CHECK_EQ(table.tensors.size(), 1u);
}

TEST_CASE("a storage whose size differs from its record's is refused") {
  const auto one = [](const std::string& from) { return dict(item("x", attack::tensor(from, 0, {1}, {1}))); };
  refused([&] { return read_pickle(one(storage("FloatStorage", "7", 6))); }, "the record data/7");
  refused([&] { return read_pickle(one(storage("FloatStorage", "../0", 6))); }, "the record data/../0");
  refused([&] { return read_pickle(one(storage("FloatStorage", "0", 5))); }, "found 24 bytes");
  refused([&] { return read_pickle(one(storage("FloatStorage", "0", 7))); }, "found 24 bytes");
  refused([&] { return read_pickle(one(storage("FloatStorage", "0", -1))); }, "found 24 bytes");
  refused([&] { return read_pickle(one(storage("FloatStorage", "0", std::int64_t{1} << 62))); }, "found 24 bytes");
  refused([&] { return read_pickle(one(storage("HalfStorage", "0", 6))); }, "6 elements of HalfStorage");
  refused(
      [&] {
        return read_pickle(
            dict(item("x", matrix) + item("y", attack::tensor(storage("HalfStorage", "0", 12), 0, {1}, {1}))));
      },
      "storage \"0\" as before, 6 elements of FloatStorage, found 12 elements of HalfStorage");
  refused([&] { return read_pickle("NQ"); }, "key, location, count), found None");
  refused(
      [&] {
        return read_pickle("(" + text("storage") + global("torch", "FloatStorage") + text("0") + text("cpu") +
                           number(6) + "NtQ");
      },
      "found (the string \"storage\", torch.FloatStorage, the string \"0\"");
  refused(
      [&] {
        return read_pickle("(" + text("module") + global("torch", "FloatStorage") + text("0") + text("cpu") +
                           number(6) + "tQ");
      },
      "('storage', class, key, location, count)");
  refused(
      [&] {
        return read_pickle("(" + text("storage") + global("collections", "OrderedDict") + text("0") + text("cpu") +
                           number(6) + "tQ");
      },
      "('storage', class, key, location, count)");
  refused([&] { return read_pickle("(NNNNNtQ"); }, "('storage', class, key, location, count)");
}

TEST_CASE("tensors that reach outside their storage are refused") {
  constexpr std::int64_t huge = std::int64_t{1} << 62, most = 0x7fffffffffffffff;
  const auto with = [](std::int64_t offset, std::initializer_list<std::int64_t> sizes,
                       std::initializer_list<std::int64_t> strides, const std::string& expected) {
    refused([&] { return read_pickle(dict(item("x", attack::tensor(floats, offset, sizes, strides)))); }, expected);
  };
  with(0, {7}, {1}, "a tensor inside its storage of 6 elements");
  with(1, {2, 3}, {3, 1}, "inside its storage");
  with(6, {1}, {1}, "inside its storage");
  with(6, {}, {}, "inside its storage");
  with(7, {0}, {1}, "inside its storage");
  with(0, {2, 2}, {5, 1}, "inside its storage");
  with(-1, {1}, {1}, "not negative, found the number -1");
  with(0, {-2}, {1}, "not negative, found the number -2");
  with(5, {2}, {-1}, "not negative, found the number -1");
  with(0, {huge, 4}, {0, 1}, "inside its storage");
  with(0, {huge, huge}, {0, 0}, "inside its storage");
  with(0, {2, 2}, {most, most}, "inside its storage");
  with(0, {5}, {huge}, "inside its storage");
  with(most, {3}, {most}, "inside its storage");
  with(0, {most}, {0}, "inside its storage");
  with(0, {2, 3}, {3}, "a stride for each of 2 sizes");
  with(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "at most 8 numbers");
}

TEST_CASE("duplicate names and names that are not text are refused") {
  refused([&] { return read_pickle(dict(item("x", matrix) + item("x", matrix))); }, "duplicate tensor \"x\"");
  refused([&] { return read_pickle(dict("K\x01" + matrix)); }, "names of tensors as keys, found");
  refused([&] { return read_pickle(dict(item("x\xff", matrix))); }, "UTF-8");
}

TEST_CASE("a file of another format is refused by its format") {
  const auto is = [](const std::string& bytes, const std::string& kind) {
    refused([&] { return read_file(bytes); }, kind);
  };
  is("", "an empty file");
  is("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git-lfs pointer");
  is("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e.\x80\x02M\xe9\x03.", "legacy format");
  is("PYTORCH1....", "PYTORCH1");
  is("storages" + std::string(249, '\0') + "ustar", "tar format");
  is("\x80\x02}.", "a bare pickle");
  is("\n<!DOCTYPE html>", "HTML");
  is(std::string(5000, '\0'), "zeros only");
  is(attack::safetensors("{}", ""), "a safetensors file");
  is(attack::safetensors("{\"__metadata__\":{}}", ""), "a safetensors file");
  is("GARBAGE!", "begin with \"GARBAGE!\"");
}

TEST_CASE("an archive is read although the position of its directory is not given, in 32 and in 64 bits") {
  const std::vector<attack::zip_entry> entries{{"a/data.pkl", good}, {"a/data/0", std::string(24, '\0')}};
  CHECK_EQ(read_file(zip(entries)).tensors.size(), 1u);
  attack::zip_end end;
  end.with_64 = true;
  CHECK_EQ(read_file(zip(entries, end)).tensors.size(), 1u);
  end.count = 0xffff;
  end.length = end.offset = 0xffffffff;
  CHECK_EQ(read_file(zip(entries, end)).tensors.size(), 1u);
  auto sized = entries;  // sizes in the local header too; flags without "sizes follow"
  sized[0].flags = 0x0800;
  sized[0].local_size = -1;
  CHECK_EQ(read_file(zip(sized)).tensors.size(), 1u);
  auto wide = entries;  // sizes in the 64-bit field of the directory
  wide[1].size = wide[1].packed = 0xffffffff;
  wide[1].extra = "FB"s + attack::u16(2) + "ZZ" + attack::u16(1) + attack::u16(16) + attack::u64(24) + attack::u64(24);
  CHECK_EQ(read_file(zip(wide)).tensors.size(), 1u);
}

TEST_CASE("directories that disagree with the file are refused") {
  const std::vector<attack::zip_entry> entries{{"a/data.pkl", good}, {"a/data/0", std::string(24, '\0')}};
  const auto with = [&](auto&& change, const std::string& expected) {
    attack::zip_end end;
    change(end);
    refused([&] { return read_file(zip(entries, end)); }, expected);
  };
  const std::string whole = zip(entries);
  for (std::size_t length = 4; length < whole.size(); ++length) {
    refused([&] { return read_file(whole.substr(0, length)); }, "zip archive");
  }
  using zip_end = attack::zip_end;
  with([](zip_end& end) { end.after = "x"; }, "a directory at the end");
  // A comment could contain a second directory, and readers would disagree on which of the two counts.
  std::string commented = zip(entries);
  commented.replace(commented.size() - 2, 2, attack::u16(22)) += zip({}).substr(0, 22);
  refused([&] { return read_file(commented); }, "a directory that ends at byte");
  commented = zip(entries);
  commented.replace(commented.size() - 2, 2, attack::u16(3)) += "abc";
  refused([&] { return read_file(commented); }, "a directory at the end");
  with([](zip_end& end) { end.before = "PK\3\4 prepended"; }, "the first record at byte 0, found byte 14");
  with(
      [](zip_end& end) {
        end.between = "gap";
        end.length = 0;
      },
      "a directory that ends at byte");
  with([](zip_end& end) { end.count = 1; }, "bytes left over");
  with([](zip_end& end) { end.count = 3; }, "zip entry 2");
  with([](zip_end& end) { end.count = 65535; }, "zip entry 2");
  with([](zip_end& end) { end.offset = 0xfffffffe; }, "a directory that ends at byte");
  with([](zip_end& end) { end.offset = 0; }, "a directory that ends at byte");
  with([](zip_end& end) { end.length = 0xfffffffe; }, "a directory that ends at byte");
  with([](zip_end& end) { end.disk = 1; }, "several disks");
  with(
      [](zip_end& end) {
        end.with_64 = true;
        end.end_64 = 3;
      },
      "64-bit end");
  with(
      [](zip_end& end) {
        end.with_64 = true;
        end.count_64 = 77;
      },
      "the same numbers at the 32-bit and 64-bit ends");
  with(
      [](zip_end& end) {
        end.with_64 = true;
        end.count_64 = 1ll << 60;
        end.count = 0xffff;
      },
      "zip entry 2");
  with(
      [](zip_end& end) {
        end.with_64 = true;
        end.offset_64 = 0x7fffffffffffffff;
        end.offset = 0xffffffff;
      },
      "a directory that ends at byte");
}

TEST_CASE("records that are compressed, encrypted, outside, overlapping or named twice are refused by name") {
  const auto with = [](auto&& change, const std::string& expected) {
    std::vector<attack::zip_entry> entries{{"a/data.pkl", good}, {"a/data/0", std::string(24, '\0')}};
    change(entries);
    refused([&] { return read_file(zip(entries)); }, expected);
  };
  using list = std::vector<attack::zip_entry>;
  with([](list& all) { all[1].method = 8; },
       "record \"a/data/0\": expected a stored record, as torch writes it, found a "
       "compressed (deflated) one");
  with([](list& all) { all[1].method = 93; }, "compression method 93");
  with([](list& all) { all[1].flags |= 1; }, "an encrypted one");
  with([](list& all) { all[1].flags |= 0x40; }, "known zip flags");
  with([](list& all) { all[1].disk = 1; }, "on disk 1");
  with([](list& all) { all[1].size = 23; }, "equal stored and real sizes, found 24 and 23");
  with([](list& all) { all[1].size = all[1].packed = 0x7fffffff; }, "found 2147483647");
  with([](list& all) { all[1].size = all[1].packed = 0xffffffff; }, "zip64");
  with(
      [](list& all) {
        all[1].size = all[1].packed = 0xffffffff;
        all[1].extra = attack::u16(1) + attack::u16(16) + attack::u64(~0ull) + attack::u64(~0ull);
      },
      "found 18446744073709551615");
  with(
      [](list& all) {
        all[1].size = all[1].packed = 0xffffffff;
        all[1].extra = attack::u16(1) + attack::u16(8) + attack::u64(24);
      },
      "zip64");
  with(
      [](list& all) {
        all[1].size = all[1].packed = 0xffffffff;
        all[1].extra = attack::u16(1) + attack::u16(999);
      },
      "zip64");
  with([](list& all) { all[1].offset = 0x7fffffff; }, "a local header");
  with([](list& all) { all[1].offset = 5; }, "a local header");
  with([](list& all) { all[1].offset = 0; }, "the same name in its local header, found \"a/data.pkl\"");
  with([](list& all) { all[1].local_name = "a/data/1"; }, "the same name in its local header");
  with([](list& all) { all[1].local_size = 25; }, "24 bytes in its local header too, found 25");
  with([](list& all) { all[0].size = all[0].packed = static_cast<std::int64_t>(good.size()) + 40; },
       "where the record before it ends");
  with([](list& all) { all.push_back(all[1]); }, "duplicate record \"a/data/0\"");
  with([](list& all) { all[1].name = "b/data/0"; }, "found \"b/data/0\"");
  with([](list& all) { all[0].name = "data.pkl"; }, "found \"data.pkl\"");
  with([](list& all) { all[0].name = "a/other.pkl"; }, "record data.pkl");
  with(
      [](list& all) {
        all.push_back({"a/byteorder", "big"});
      },
      "record byteorder: expected \"little\", found \"big\"");
  with([](list& all) { all.push_back({"a/version", "11\n"}); }, "record version");
  with([](list& all) { all.push_back({"a/version", ""}); }, "record version");
  with([](list& all) { all.push_back({"a/version", "x"}); }, "record version");
  with([](list& all) { all.push_back({"a/constants.pkl", "x"}); }, "TorchScript");
}

// SPDX-License-Identifier: MIT
// JSON files: values of every type, what is refused, and where.
#include <doctest/doctest.h>

#include <cstdint>
#include <optscope/core/json.hpp>
#include <string>
#include <string_view>
#include <vector>

using namespace optscope;

namespace {

json_file parsed(std::string_view text) { return json_file::parse("f", "", text); }

std::string refusal(std::string_view text) {
  try {
    const json_file file = parsed(text);
    const json_object object{file, file.root()};
    return "accepted";
  } catch (const bad_input& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a value is read as its own type only") {
  const json_file file = parsed(R"({"b": true, "i": -3, "u": 18446744073709551615, "d": 0.5, "s": "a\n", "n": null,
                                    "l": [1, []], "o": {"z": 1, "a": 2}})");
  const json_object object{file, file.root(), "top"};
  bool truth = false;
  std::int64_t integer = 0;
  std::uint64_t natural = 0;
  double number = 0;
  std::string_view text;
  std::vector<json_value> list;
  std::vector<json_value::member> members;
  CHECK((object.find("b")->get(truth) && truth));
  CHECK((object.find("i")->get(integer) && integer == -3));
  CHECK((object.find("u")->get(natural) && natural == ~std::uint64_t{0}));
  CHECK((object.find("d")->get(number) && number == 0.5));
  CHECK((object.find("i")->get(number) && number == -3));
  CHECK((object.find("s")->get(text) && text == "a\n"));
  CHECK((object.find("l")->get(list) && list.size() == 2));
  CHECK((object.find("o")->get(members) && members.size() == 2 && members[0].first == "z"));
  CHECK((object.find("n")->is_null() && object.find("s")->is_string() && object.find("o")->is_object()));
  CHECK_FALSE(object.find("i")->get(natural));
  CHECK_FALSE(object.find("u")->get(integer));
  CHECK_FALSE(object.find("d")->get(integer));
  CHECK_FALSE(object.find("s")->get(list));
  CHECK_FALSE(object.find("l")->get(members));
  CHECK_FALSE(object.find("n")->get(truth));
  CHECK_FALSE(object.find("missing").has_value());
  CHECK_EQ(object.members().front().first, "b");  // in key order
  CHECK_EQ(object.find("o")->text(), R"({"z":1,"a":2})");
  CHECK_EQ(object.find("s")->description(), "the string \"a\\x0a\"");
  CHECK_EQ(object.find("l")->description(), "a list");
  CHECK_EQ(object.path_to("x"), "top.x");
}

TEST_CASE("values stay valid as long as an object of the file exists") {
  const auto object = [] {
    const json_file file = parsed(R"({"a": "text"})");
    return json_object{file, file.root()};
  }();
  std::string_view text;
  CHECK((object.find("a")->get(text) && text == "text"));
}

TEST_CASE("a text that is not JSON is refused with the line and byte where it stops") {
  CHECK_EQ(refusal("{\"a\": 1,\n \"b\": ?}"), "f: line 2, column 7: expected JSON, found \"?}\"");
  CHECK_EQ(refusal("{\"a\": 1,}"), "f: line 1, column 9: expected JSON, found \"}\"");
  CHECK_EQ(refusal("{\"a\" 1}"), "f: line 1, column 6: expected JSON, found \"1}\"");
  CHECK_EQ(refusal("{\"a\": [1, 2"), "f: line 1, column 12: expected JSON, found its end");
  CHECK_EQ(refusal("{\"a\": [1 2]}"), "f: line 1, column 10: expected JSON, found \"2]}\"");
  CHECK_EQ(refusal("{\"a\": \"\xff\"}"), "f: line 1, column 8: expected JSON, found \"\\xff\"}\"");
  CHECK_EQ(refusal("{\"a\": \"\\x\"}"), "f: line 1, column 9: expected JSON, found \"x\"}\"");
  CHECK_EQ(refusal("{\"a\": 01}"), "f: line 1, column 8: expected JSON, found \"1}\"");
  CHECK_EQ(refusal("{\"a\": 1.}"), "f: line 1, column 9: expected JSON, found \"}\"");
  CHECK_EQ(refusal("{\"a\": tru}"), "f: line 1, column 7: expected JSON, found \"tru}\"");
  CHECK_EQ(refusal("{} {}"), "f: line 1, column 4: expected JSON, found \"{}\"");
  CHECK_EQ(refusal(""), "f: expected JSON, found an empty file");
  CHECK_EQ(refusal("\xef\xbb\xbf{}"), "f: expected JSON, found a byte order mark before it");
  CHECK_EQ(refusal("{\"a\": \"\\ud800\"}"), "f: line 1, column 14: expected JSON, found \"\"}\"");  // half a character
  CHECK_EQ(refusal("{\"a\": \"\\ud83d\\ude42\"}"), "accepted");
  CHECK_EQ(refusal("{NaN: 1}"), "f: line 1, column 2: expected JSON, found \"NaN: 1}\"");
  CHECK_EQ(refusal("{\"a\": 1, NaN: 1}"), "f: line 1, column 10: expected JSON, found \"NaN: 1}\"");
  CHECK_EQ(refusal("{\"a\": [NaN, -NaN]}"), "f: line 1, column 14: expected JSON, found \"NaN]}\"");
  CHECK_EQ(refusal("{\"a\": Infinity1}"), "f: line 1, column 15: expected JSON, found \"1}\"");
  CHECK_EQ(refusal("{\"a\": 1e400, \"b\": +1}"), "f: line 1, column 19: expected JSON, found \"+1}\"");
}

TEST_CASE("anything but an object is refused by its type, and an object by its duplicate keys") {
  CHECK_EQ(refusal("[1]"), "f: expected a JSON object, found a list");
  CHECK_EQ(refusal(R"({"a": 1, "b": 2, "\u0061": 3})"), "f: duplicate key \"a\"");
  const json_file file = parsed(R"({"x": {"a": 1, "a": 2}})");
  const json_object outer{file, file.root()};
  CHECK_THROWS_WITH((json_object{file, *outer.find("x"), "x"}), "f: x: duplicate key \"a\"");
  CHECK_THROWS_AS(static_cast<void>(json_file::parse<checkpoint_error>("f", "header", "{")), checkpoint_error);
  CHECK_THROWS_WITH(static_cast<void>(json_file::parse("f", "header", "{")),
                    "f: header, line 1, column 2: expected JSON, found its end");
  CHECK_THROWS_WITH(outer.refuse("x", "a number", "an object"), "f: x: expected a number, found an object");
}

TEST_CASE("integers of more than 64 bits are read as floating-point numbers") {
  const json_file file = parsed(
      R"({"1234567890123456789": [1234567890123456789000,-1234567890123456789000], "t": "\"1234567890123456789000",
                                    "d": [1234567890123456789000.5, 0.1234567890123456789000]})");
  const json_object object{file, file.root()};
  std::vector<json_value> list;
  double number = 0;
  std::string_view text;
  REQUIRE(object.find("1234567890123456789")->get(list));
  CHECK((list[0].get(number) && number == 1234567890123456789000.));
  CHECK((list[1].get(number) && number == -1234567890123456789000.));
  CHECK((object.find("t")->get(text) && text == "\"1234567890123456789000"));
  REQUIRE(object.find("d")->get(list));
  CHECK((list[0].get(number) && number == 1234567890123456789000.5));
  CHECK((list[1].get(number) && number == 0.1234567890123456789000));
}

TEST_CASE("numbers that Python writes and JSON does not have are read, and no value is taken from them") {
  const std::string big(400, '7');
  const json_file file =
      parsed(R"({"a": NaN, "b": [Infinity,-Infinity , NaN], "c": 1e999, "d": -1E+999, "e": 1e-999, "f": )" + big +
             R"(, "g": "NaN, Infinity: 1e999", "h": {"NaN": NaN}, "i": 3})");
  const json_object object{file, file.root()};
  const auto takes_nothing = [](const json_value& value) {
    bool truth = false;
    std::int64_t integer = 0;
    std::uint64_t natural = 0;
    double number = 0;
    std::string_view text;
    std::vector<json_value> list;
    return !value.get(truth) && !value.get(integer) && !value.get(natural) && !value.get(number) && !value.get(text) &&
           !value.get(list) && !value.is_string() && !value.is_null() && !value.is_object();
  };
  for (const char* key : {"a", "c", "d", "f"}) {
    CAPTURE(key);
    CHECK(takes_nothing(*object.find(key)));
  }
  CHECK_EQ(object.find("a")->description(), "NaN");
  CHECK_EQ(object.find("c")->description(), "1e999");
  CHECK(object.find("f")->description().starts_with("7777"));
  CHECK_EQ(object.find("b")->text(), "[Infinity,-Infinity,NaN]");
  CHECK_EQ(object.find("h")->text(), R"({"NaN":NaN})");
  double number = 1;
  std::string_view text;
  std::int64_t integer = 0;
  CHECK((object.find("e")->get(number) && number == 0));
  CHECK((object.find("g")->get(text) && text == "NaN, Infinity: 1e999"));
  CHECK((object.find("i")->get(integer) && integer == 3));
}

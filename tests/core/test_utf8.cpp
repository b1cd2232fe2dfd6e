// SPDX-License-Identifier: MIT
// UTF-8: the first error is found wherever it is, and broken sequences are replaced as Unicode recommends.
#include <doctest/doctest.h>

#include <cstddef>
#include <optscope/core/utf8.hpp>
#include <string>

using namespace optscope;

TEST_CASE("the first broken byte is found at every offset, after ASCII and after longer characters") {
  for (const std::string character : {"a", "\u00e9", "\u20ac", "\U0001F642"}) {
    std::string text;
    for (int count = 0; count < 40; ++count) {
      CHECK_FALSE(utf8::first_error(text).has_value());
      for (const std::string broken :
           {"\xff", "\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x99", "\xed\xa0\x80", "\xc0\xaf"}) {
        CHECK_EQ(utf8::first_error(text + broken), text.size());
        CHECK_EQ(utf8::first_error(text + broken + " and more text"), text.size());
      }
      text += character;
    }
  }
  CHECK_FALSE(utf8::first_error("").has_value());
}

TEST_CASE("a sequence is as long as the longest beginning of a valid one") {
  CHECK_EQ(utf8::first_sequence("\xe2\x82z").size, 2);
  CHECK_EQ(utf8::first_sequence("\xf0\x9f\x99").size, 3);
  CHECK_EQ(utf8::first_sequence("\xe0\x80\x80").size, 1);
  CHECK_EQ(utf8::first_sequence("\xf4\x90\x80\x80").size, 1);
  CHECK(utf8::first_sequence("\xf4\x8f\xbf\xbfz").valid);
  CHECK_EQ(utf8::replace_errors("a\xe2\x82z\x80"), "a\ufffdz\ufffd");
}

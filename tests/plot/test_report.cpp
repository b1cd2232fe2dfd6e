// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/utf8.hpp>
#include <optscope/plot/encode.hpp>
#include <optscope/plot/heatmap.hpp>
#include <span>
#include <string>

#include "made_up_study.hpp"

using namespace optscope;
using namespace optscope::plot;

namespace {
std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}
std::string base64_of(std::string_view text) { return base64(std::as_bytes(std::span{text})); }
}  // namespace

TEST_CASE("base64 agrees with RFC 4648") {
  CHECK_EQ(base64_of(""), "");
  CHECK_EQ(base64_of("f"), "Zg==");
  CHECK_EQ(base64_of("fo"), "Zm8=");
  CHECK_EQ(base64_of("foobar"), "Zm9vYmFy");
  CHECK_EQ(base64_of("\xff\xfe\xfd"), "//79");
}

TEST_CASE("a float becomes the nearest half, and every half comes back as it was") {
  for (unsigned half = 0; half < 65536; ++half) {
    const float value = half_to_float(static_cast<std::uint16_t>(half));
    const std::uint16_t back = float_to_half(value);
    if (std::isnan(value) ? !std::isnan(half_to_float(back)) : back != half)
      FAIL("half " << half << " became " << back);
  }
  made_up::noise random;
  for (int i = 0; i < 20000; ++i) {
    const float value = random() * std::exp2(30 * random());
    if (std::abs(value) >= 65504 || value == 0) continue;
    const std::uint16_t half = float_to_half(value);
    const float error = std::abs(half_to_float(half) - value);
    for (const int by : {-1, 1}) {
      const float other = half_to_float(static_cast<std::uint16_t>(half + by));
      if (std::isfinite(other) && std::abs(other - value) < error) FAIL(value << " became " << half);
    }
  }
  CHECK_EQ(float_to_half(1e9f), 0x7c00);
  CHECK_EQ(float_to_half(65519.9f), 0x7bff);
}

TEST_CASE("the page refers to nothing outside itself") {
  const temporary_folder folder;
  made_up::study study{24};
  made_up::write_page(study.report, folder.path);
  const std::string page = content_of(folder.path / "report.html");
  for (const char* reference :
       {"http:", "https:", "src=", "@import", "url(", "<link rel=\"style", "fetch(", "import(", "XMLHttp"})
    CHECK_MESSAGE(page.find(reference) == std::string::npos, reference);
  CHECK_NE(page.find("default-src 'none'"), std::string::npos);
  CHECK_EQ(page.substr(0, 15), "<!DOCTYPE html>");
  CHECK_EQ(count(page, "<script"), count(page, "</script>"));
  CHECK_EQ(count(page, "id=\"array-"), 8 + 2);
  CHECK_EQ(count(page, "<body"), 1);
  CHECK_EQ(page.substr(page.size() - 8), "</html>\n");
}

TEST_CASE("texts, names and tokens cannot leave the script element that holds them") {
  const temporary_folder folder;
  made_up::study study{8};
  const std::size_t scripts = [&] {
    made_up::write_page(study.report, folder.path);
    return count(content_of(folder.path / "report.html"), "<script");
  }();
  const std::string nasty = "</script><script>alert(1)</script><!--\"'\\\n\x01&amp; \xff\xe2\x82";
  study.report.title = study.report.model = nasty;
  study.report.facts = {{nasty, nasty}};
  study.report.notes = {nasty};
  study.report.texts[0] = {.category = nasty, .name = nasty, .first_words = nasty, .tokens = 1};
  study.report.sets[0].vectors[0].token = nasty;
  made_up::write_page(study.report, folder.path);
  const std::string page = content_of(folder.path / "report.html");
  CHECK_EQ(count(page, "<script"), scripts);
  CHECK_EQ(count(page, "</script>"), scripts);
  CHECK_EQ(count(page, "<!--"), 0);
  CHECK_FALSE(utf8::first_error(page).has_value());
}

TEST_CASE("streams that are too large keep their best dimensions, and the page says which") {
  const temporary_folder folder;
  made_up::study study{64};
  study.report.stream_bytes =
      2 * 2 * 1200 * 5;  // two sites, 2 bytes, 12 layers of 10 texts of 10 positions, 5 dimensions
  made_up::write_page(study.report, folder.path);
  const std::string page = content_of(folder.path / "report.html");
  // The best are 17, 54, 27, 0, 37: d * 37 + 17 modulo 64.
  CHECK_EQ(count(page, "\"kept\":[0,17,27,37,54]"), 2);
}

TEST_CASE("a report without data is a page, and a report into a missing folder an error") {
  const temporary_folder folder;
  made_up::write_page({}, folder.path);
  CHECK_NE(content_of(folder.path / "report.html").find("</html>"), std::string::npos);
  CHECK_THROWS_AS(report{"nothing"}.write(folder.path / "missing"), file_error);
}

TEST_CASE("without a folder for temporary files the page is written before the error") {
  const temporary_folder folder;
  const made_up::environment_variable chosen{"TMPDIR", (folder.path / "missing").string()};
  const float values[4] = {0, 1, 1, 0};
  report page{"Pictures"};
  page.picture_file("file", heatmap(tensor_view<const float, 2>{values, {2, 2}}));
  CHECK_THROWS_AS(page.write(folder.path), file_error);
  CHECK_NE(content_of(folder.path / "report.html").find("</html>"), std::string::npos);
}

TEST_CASE(
    "a report's pictures are files and parts of the page; without gnuplot the page says that they are not drawn") {
  const temporary_folder folder, empty;
  const float values[4] = {0, 1, 1, 0};
  report page{"Pictures"};
  page.picture("In the page", "A note.", "shown", heatmap(tensor_view<const float, 2>{values, {2, 2}}));
  page.picture_file("file", heatmap(tensor_view<const float, 2>{values, {2, 2}}));
  std::size_t last = 0;
  try {
    thread_pool pool{2};
    page.write(folder.path, pool, [&](std::size_t done, std::size_t) { last = done; });
    const std::string html = content_of(folder.path / "report.html");
    CHECK_EQ(count(html, "data:image/png;base64,iVBORw0KGgo"), 1);
    for (const char* name : {"shown.png", "shown.svg", "shown.pdf", "file.png", "file.svg", "file.pdf"})
      CHECK_MESSAGE(std::filesystem::exists(folder.path / "pictures" / name), name);
    CHECK_LE(last, 2);
  } catch (const gnuplot_missing&) {
    MESSAGE("skipped: gnuplot is not installed (Debian: gnuplot-nox)");
  }
  const made_up::environment_variable path{"PATH", empty.path.string()};
  try {
    page.write(folder.path);
    FAIL("no exception");
  } catch (const gnuplot_missing& problem) {
    CHECK_NE(std::string{problem.what()}.find("report.html has everything else"), std::string::npos);
  }
  const std::string html = content_of(folder.path / "report.html");
  CHECK_EQ(count(html, "data:image/png"), 0);
  CHECK_NE(html.find("\"source\":null"), std::string::npos);
}

TEST_CASE("groups are runs of equal categories") {
  const auto groups =
      groups_of({{.category = "a", .name = "1"}, {.category = "a", .name = "2"}, {.category = "b", .name = "3"}}, 10);
  REQUIRE_EQ(groups.size(), 2);
  CHECK_EQ(groups[0].name, "a");
  CHECK_EQ(groups[0].size, 20);
  CHECK_EQ(groups[1].size, 10);
}

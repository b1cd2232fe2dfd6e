// SPDX-License-Identifier: MIT
#pragma once
// Bodies of report.hpp.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/encode.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/plot/report_matrices.ipp>
#include <optscope/plot/report_script.ipp>
#include <optscope/plot/report_style.ipp>
#include <optscope/plot/report_views.ipp>

namespace optscope::plot {

namespace detail {

inline void write_series(json_writer& json, const line_series& series) {
  const auto numbers = [&](const char* name, const std::vector<double>& values) {
    if (values.empty()) return;
    json.key(name).begin_array();
    for (const double value : values) json.value(static_cast<float>(value));
    json.end_array();
  };
  json.begin_object().field("name", series.name).field("colour", hex(series.colour)).field("dashed", series.dashed);
  json.field("thin", series.width < 1);
  numbers("x", series.x);
  numbers("y", series.y);
  numbers("low", series.low);
  numbers("high", series.high);
  json.end_object();
}

inline std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE report::report(std::string title, std::string subtitle)
    : title_{std::move(title)}, subtitle_{std::move(subtitle)} {}

OPTSCOPE_INLINE void report::facts(std::string_view heading, const std::vector<fact>& rows) {
  json_writer json = begin("facts", heading);
  json.key("rows").begin_array();
  for (const auto& [name, value] : rows) json.begin_array().value(name).value(value).end_array();
  json.end_array();
  end(json);
}

OPTSCOPE_INLINE void report::table(std::string_view heading, const std::vector<std::string>& columns,
                                   const std::vector<std::vector<std::string>>& rows) {
  json_writer json = begin("table", heading);
  json.key("columns").begin_array();
  for (const std::string& column : columns) json.value(column);
  json.end_array().key("rows").begin_array();
  for (const auto& row : rows) {
    json.begin_array();
    for (const std::string& cell : row) json.value(cell);
    json.end_array();
  }
  json.end_array();
  end(json);
}

OPTSCOPE_INLINE void report::notes(std::string_view heading, const std::vector<std::string>& paragraphs) {
  json_writer json = begin("notes", heading);
  json.key("paragraphs").begin_array();
  for (const std::string& paragraph : paragraphs) json.value(paragraph);
  json.end_array();
  end(json);
}

OPTSCOPE_INLINE void report::chart(std::string_view heading, std::string_view note, std::span<const line_panel> panels,
                                   const lines_options& options) {
  json_writer json = begin("charts", heading);
  json.field("note", note).field("xLabel", options.x_label).field("yLabel", options.y_label);
  json.field("logX", options.log_x).field("logY", options.log_y).key("panels").begin_array();
  for (const line_panel& panel : panels) {
    json.begin_object().field("title", panel.title).key("series").begin_array();
    for (const line_series& series : panel.series) detail::write_series(json, series);
    json.end_array();
    if (panel.y_range)
      json.key("yRange").begin_array().value(panel.y_range->first).value(panel.y_range->second).end_array();
    json.end_object();
  }
  json.end_array();
  end(json);
}

OPTSCOPE_INLINE void report::picture(std::string_view heading, std::string_view note,
                                     const std::filesystem::path& png) {
  json_writer json = begin("picture", heading);
  json.field("note", note).field("source", "data:image/png;base64," + base64(mapped_file{png}.bytes()));
  end(json);
}

OPTSCOPE_INLINE json_writer report::begin(std::string_view kind, std::string_view heading) const {
  json_writer json;
  json.begin_object().field("kind", kind).field("heading", heading);
  return json;
}

OPTSCOPE_INLINE void report::end(json_writer& json) {
  json.end_object();
  sections_.push_back(json.text());
}

OPTSCOPE_INLINE std::string report::float32(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little, "the page's arrays are little endian");
  return store(base64(std::as_bytes(values)), "f32", 1);
}

OPTSCOPE_INLINE std::string report::float16(std::span<const float> values) {
  float largest = 0;
  for (const float value : values)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  const float scale = largest > 0 ? largest / 32768 : 1;
  std::vector<std::uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), [&](float v) { return float_to_half(v / scale); });
  return store(base64(std::as_bytes(std::span{halves})), "f16", scale);
}

OPTSCOPE_INLINE std::string report::html() const {
  json_writer json;
  json.begin_object().field("title", title_).field("subtitle", subtitle_).key("viridis").begin_array();
  for (const rgb stop : viridis_stops)
    json.begin_array().value(int{stop.red}).value(int{stop.green}).value(int{stop.blue}).end_array();
  json.end_array().key("sections").begin_array();
  for (const std::string& section : sections_) json.raw(section);
  json.end_array().end_object();

  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n";
  page +=
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" "
      "href=\"data:,\">\n";
  page += "<title>" + detail::escaped(title_) + (subtitle_.empty() ? "" : " – " + detail::escaped(subtitle_)) +
          "</title>\n<style>";
  page += detail::report_style;
  page +=
      "</style>\n</head>\n<body>\n<main id=\"page\"></main>\n"
      "<noscript><p>This report draws its pictures with a script; the same pictures lie beside it as "
      "files.</p></noscript>\n";
  page += "<script type=\"application/json\" id=\"report\">" + json.text() + "</script>\n";
  for (std::size_t i = 0; i < arrays_.size(); ++i)
    page += "<script type=\"text/plain\" id=\"array-" + std::to_string(i) + "\">" + arrays_[i] + "</script>\n";
  page += "<script>\n'use strict';";
  page += detail::report_script;
  page += detail::report_matrices_view;
  page += detail::report_views;
  page += "</script>\n</body>\n</html>\n";
  return page;
}

OPTSCOPE_INLINE void report::write(const std::filesystem::path& path) const { write_file(path, html()); }

OPTSCOPE_INLINE std::string report::store(std::string text, const char* type, float scale) {
  json_writer json;
  json.begin_object().field("array", arrays_.size()).field("type", type).field("scale", scale).end_object();
  arrays_.push_back(std::move(text));
  return json.text();
}

}  // namespace optscope::plot

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of report.hpp.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/utf8.hpp>
#include <optscope/plot/encode.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/plot/report_matrices.ipp>
#include <optscope/plot/report_points.ipp>
#include <optscope/plot/report_ranked.ipp>
#include <optscope/plot/report_script.ipp>
#include <optscope/plot/report_style.ipp>
#include <optscope/plot/report_views.ipp>
#include <system_error>

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
  for (const char c : utf8::replace_errors(std::string{text}))
    result += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return result;
}

/// A PNG as the JSON string of an image's source.
inline std::string png_source(const std::filesystem::path& png) {
  return "\"data:image/png;base64," + base64(mapped_file{png}.bytes()) + "\"";
}

/// Draws pictures as files of a folder, in batches on all threads.
inline void draw_files(const std::vector<std::pair<std::string, picture>>& pictures,
                       const std::filesystem::path& folder, thread_pool& pool, const report::counter& progress) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw file_error{folder.string(), "", "a writable folder", failed.message()};
  std::vector<drawing> drawings;
  for (const auto& [name, what] : pictures) drawings.push_back({.what = what, .files = {.stem = folder / name}});
  const std::size_t count = std::min(drawings.size(), 2 * pool.size());
  const auto batches = split_into_batches(std::move(drawings), count);
  std::atomic<std::size_t> done{0};
  pool.parallel_for(batches.size(), [&](std::size_t batch, std::size_t worker) {
    draw(batches[batch]);
    ++done;
    if (worker == 0 && progress) progress(done, batches.size());
  });
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
      json.key("yRange").begin_array().value(panel.y_range->low).value(panel.y_range->high).end_array();
    json.end_object();
  }
  json.end_array();
  end(json);
}

OPTSCOPE_INLINE void report::picture(std::string_view heading, std::string_view note, std::string name,
                                     plot::picture what) {
  json_writer json = begin("picture", heading);
  json.field("note", note).key("source");
  sections_.push_back({.json = json.text(), .picture = name});
  picture_file(std::move(name), std::move(what));
}

OPTSCOPE_INLINE void report::picture_file(std::string name, plot::picture what) {
  pictures_.emplace_back(std::move(name), std::move(what));
}

OPTSCOPE_INLINE json_writer report::begin(std::string_view kind, std::string_view heading) const {
  json_writer json;
  json.begin_object().field("kind", kind).field("heading", heading);
  return json;
}

OPTSCOPE_INLINE void report::end(json_writer& json) {
  json.end_object();
  sections_.push_back({.json = json.text(), .picture = {}});
}

OPTSCOPE_INLINE std::string report::float32(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little, "the page's arrays are little endian");
  return store(base64(std::as_bytes(values)), "f32", 1);
}

OPTSCOPE_INLINE std::string report::float16(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  const float scale = largest > 0 ? largest / 32768 : 1;
  std::vector<std::uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), [&](float v) { return float_to_half(v / scale); });
  return store(base64(std::as_bytes(std::span{halves})), "f16", scale);
}

OPTSCOPE_INLINE std::string report::html(const std::filesystem::path& pictures) const {
  json_writer json;
  json.begin_object().field("title", title_).field("subtitle", subtitle_);
  const auto stops = [&](const char* name, std::span<const rgb> colours) {
    json.key(name).begin_array();
    for (const rgb stop : colours)
      json.begin_array().value(int{stop.red}).value(int{stop.green}).value(int{stop.blue}).end_array();
    json.end_array();
  };
  stops("viridis", viridis_stops);
  stops("diverging", diverging_stops);
  json.key("sections").begin_array();
  for (const section& each : sections_) {
    if (each.picture.empty()) {
      json.raw(each.json);
    } else {
      const std::string source = pictures.empty() ? "null" : detail::png_source(pictures / (each.picture + ".png"));
      json.raw(each.json + source + "}");
    }
  }
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
      "<noscript><p>This report draws its pictures with a script; the pictures are also files in "
      "the folder pictures.</p></noscript>\n";
  page += "<script type=\"application/json\" id=\"report\">" + json.text() + "</script>\n";
  for (std::size_t i = 0; i < arrays_.size(); ++i)
    page += "<script type=\"text/plain\" id=\"array-" + std::to_string(i) + "\">" + arrays_[i] + "</script>\n";
  page += "<script>\n'use strict';";
  page += detail::report_script;
  page += detail::report_matrices_view;
  page += detail::report_ranked_view;
  page += detail::report_points_view;
  page += detail::report_views;
  page += "</script>\n</body>\n</html>\n";
  return page;
}

OPTSCOPE_INLINE void report::write(const std::filesystem::path& folder, thread_pool& pool,
                                   const counter& progress) const {
  const std::filesystem::path pictures = folder / "pictures", page = folder / "report.html";
  const auto without_pictures = [&](const error& reason) {
    write_file(page, html());
    return std::string{reason.what()} + "\n  " + page.string() + " has everything else";
  };
  try {
    if (!pictures_.empty()) detail::draw_files(pictures_, pictures, pool, progress);
  } catch (const gnuplot_missing& reason) {
    throw gnuplot_missing{without_pictures(reason)};
  } catch (const gnuplot_error& reason) {
    throw gnuplot_error{without_pictures(reason)};
  } catch (const error&) {  // no room or no folder, for temporary files or for the pictures
    write_file(page, html());
    throw;
  }
  write_file(page, html(pictures));
}

OPTSCOPE_INLINE void report::write(const std::filesystem::path& folder) const {
  thread_pool pool{1};
  write(folder, pool);
}

OPTSCOPE_INLINE std::string report::store(std::string text, const char* type, float scale) {
  json_writer json;
  json.begin_object().field("array", arrays_.size()).field("type", type).field("scale", scale).end_object();
  arrays_.push_back(std::move(text));
  return json.text();
}

}  // namespace optscope::plot

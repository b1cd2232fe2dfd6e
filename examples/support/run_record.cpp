// SPDX-License-Identifier: MIT
#include "run_record.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/simd.hpp>
#include <string_view>

namespace program {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::string hexadecimal(std::uint64_t hash) {
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[hash >> shift & 15];
  return text;
}

void write_text(optscope::json_writer& json, const fs::path& file) {
  json.begin_object().field("file", file.string()).key("fingerprint");
  std::error_code status;
  if (fs::is_regular_file(file, status)) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : content_of(file)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    json.value(hexadecimal(hash));
  } else {
    json.value(nullptr);
  }
  json.end_object();
}

std::string name_of_cpu() {
  std::ifstream in{"/proc/cpuinfo"};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "";
}

std::string_view kernels() {
  switch (optscope::simd::best()) {
    case optscope::simd::level::avx512: return "AVX-512";
    case optscope::simd::level::avx2: return "AVX2";
    case optscope::simd::level::baseline: break;
  }
  return "baseline";
}

}  // namespace

std::string json_of(const run_record& run, const optscope::checkpoint& files, const optscope::corpus& input) {
  optscope::json_writer json;
  json.begin_object().list("command", run.command).field("version", OPTSCOPE_PROGRAMS_VERSION);
  json.key("model").begin_object().field("folder", run.model.string());
  json.field("fingerprint", optscope::fingerprint(files)).end_object();
  json.key("texts").begin_array();
  fs::path last;
  for (const optscope::corpus_text& text : input.texts) {
    if (text.file != last) write_text(json, text.file);
    last = text.file;
  }
  json.end_array().key("seeds").begin_object();
  for (const auto& [name, seed] : run.seeds) json.field(name, seed);
  json.end_object().field("threads", run.threads).field("cpu", name_of_cpu()).field("kernels", kernels());
  json.field("seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - run.begin).count());
  json.end_object();
  return json.text();
}

}  // namespace program

// SPDX-License-Identifier: MIT
// Tokenizer throughput on a text file, on one core; tokenizer_peer.py runs this and Hugging Face's on the
// same file.
//   tokenizer_throughput MODEL_DIR TEXT_FILE [ROUNDS]
#include <benchmark.hpp>
#include <cstdio>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <string_view>

using namespace optscope;
namespace bench = benchmark_tools;

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: tokenizer_throughput MODEL_DIR TEXT_FILE [ROUNDS]\n"), 2;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 9;
  try {
    const mapped_file mapped{argv[2]};
    const std::string_view text{reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()};
    const tokenizer words{argv[1]};
    const token_list ids = words.encode(text, argv[2]);
    if (words.decode(ids, false) != (words.adds_bos() ? words.piece(ids[0]) : "").append(text)) {
      return std::fprintf(stderr, "tokenizer_throughput: the text does not come back from its ids\n"), 1;
    }
    std::printf("%zu bytes, %zu tokens; one thread, median of %d\n", text.size(), ids.size(), rounds);

    std::size_t kept = 0;  // so that no work is left out
    const auto report = [&](const char* name, auto&& action) {
      std::vector<double> times;
      for (int round = 0; round < rounds; ++round) times.push_back(bench::seconds(action));
      const double time = bench::median(times);
      std::printf("%-8s %8.2f ms %8.1f MB/s\n", name, time * 1e3, static_cast<double>(text.size()) / time / 1e6);
    };
    const pre_tokenizer split;
    report("encode", [&] { kept += words.encode(text).size(); });
    report("split", [&] { split.split(text, [&](std::string_view) { ++kept; }); });
    report("decode", [&] { kept += words.decode(ids).size(); });
    report("load", [&] { kept += tokenizer{argv[1]}.size(); });
    return kept == 0;
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "tokenizer_throughput: %s\n", e.what()), 3;
  }
}

// SPDX-License-Identifier: MIT
// Greedy decoding beside the memory's read bandwidth: one prompt, and several that share each read of the weights; with
// the weights as stored, and in eight bits.
//   decode MODEL_DIR [TOKENS] [PROMPTS]
// `python benchmarks/random_opt.py opt-125m DIR` makes a model. The same with PyTorch and CTranslate2: decode_peer.py.
#include <benchmark.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/opt/int8_weights.hpp>
#include <optscope/opt/model.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

/// GB/s of reading memory that is in no cache once, on all threads.
double read_bandwidth(thread_pool& pool) {
  static const std::vector<std::uint64_t> memory(32 << 20, 1);  // 268 MB
  constexpr std::size_t parts = 64, size = (32 << 20) / parts;
  std::vector<std::uint64_t> sums(parts);
  const double time = bench::seconds([&] {
    pool.parallel_for(parts, [&](std::size_t i, std::size_t) {
      const std::uint64_t* const begin = memory.data() + i * size;
      sums[i] = std::accumulate(begin, begin + size, std::uint64_t{0});
    });
  });
  if (std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) != memory.size()) std::abort();
  return static_cast<double>(memory.size() * sizeof(std::uint64_t)) / time / 1e9;
}

/// Bytes of the matrices that every token is multiplied by.
template <class Model>
double bytes_of(Model& opt) {
  const matrix_view<float> last = opt.weights().unembedding();
  std::size_t bytes = last.rows() * last.row_bytes();
  for (std::size_t i = 0; i < opt.layers(); ++i) {
    bytes += stored_bytes<float>(opt.weights().layer(i, i + 1, opt.backend().pool()));
  }
  return static_cast<double>(bytes);
}

template <class Model>
void decode(const char* name, Model& opt, const token_list& prompt, std::size_t steps, std::size_t together) {
  thread_pool& pool = opt.backend().pool();
  const double bytes = bytes_of(opt);
  kv_cache<float> one, several;
  opt.run({prompt}, one);
  opt.run(token_batch(together, prompt), several);
  std::vector<double> rates, ones, severals;
  for (std::size_t step = 0; step < steps; ++step) {  // in turn, so that what else the machine does meets all alike
    rates.push_back(read_bandwidth(pool));
    const auto timed = [&](kv_cache<float>& cache) {
      const token_batch next(cache.texts(), {31});
      return bench::seconds([&] { static_cast<void>(opt.next_logits(next, cache)); });
    };
    ones.push_back(timed(one));
    severals.push_back(timed(several));
  }
  const double rate = bench::median(rates), time = bench::median(ones), time_of_several = bench::median(severals);
  const double possible = rate * 1e9 / bytes, count = static_cast<double>(together);
  std::printf("%s: %.0f MB of matrices, %zu threads, read bandwidth %.1f GB/s: at most %.1f tokens/s\n", name,
              bytes / 1e6, pool.size(), rate, possible);
  std::printf("  one prompt: %.1f tokens/s, %.2f of that\n", 1 / time, 1 / time / possible);
  std::printf("  %zu prompts: %.1f tokens/s, %.2f times one prompt's\n", together, count / time_of_several,
              count * time / time_of_several);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: decode MODEL_DIR [TOKENS] [PROMPTS]\n"), 2;
  const std::size_t steps = argc > 2 ? std::stoul(argv[2]) : 64, together = argc > 3 ? std::stoul(argv[3]) : 8;
  const token_list prompt{2, 133, 812};
  std::unique_ptr<model<>> opt;
  const auto load = [&] {
    opt.reset();
    opt = std::make_unique<model<>>(checkpoint{argv[1]});
    kv_cache<float> cache;
    static_cast<void>(opt->next_logits({prompt}, cache));
  };
  load();  // the files are in the system's cache from here on
  const double first = bench::seconds(load);
  std::printf("load to first token, warm: %.3f s; peak memory so far %s\n", first, memory_text(peak_memory()).c_str());

  decode("as stored", *opt, prompt, steps, together);
  model<any_opt, float, cpu, int8_weights<float>> rounded{checkpoint{argv[1]}};
  decode("int8", rounded, prompt, steps, together);
}

// SPDX-License-Identifier: MIT
// What has to be found out on a card: whether bits depend on other rows, how far results are from the CPU's, the errors
// of the modes, times. check.sh runs all of it; the output is Markdown.
//   check card | bits | modes | parity MODEL_DIR | tiny MODEL_DIR | times MODEL_DIR [REPEATS]
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/cuda.hpp>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace optscope;

namespace {

constexpr std::array modes{cuda_mode::fp32, cuda_mode::split, cuda_mode::tf32, cuda_mode::bf16};

/// The shapes of a model's weights: name, n, k.
struct weight_shape {
  const char* name;
  std::size_t n, k;
};
constexpr std::array shapes{weight_shape{"125m qkv", 2304, 768},     weight_shape{"125m out", 768, 768},
                            weight_shape{"125m fc1", 3072, 768},     weight_shape{"125m fc2", 768, 3072},
                            weight_shape{"unembedding", 50272, 768}, weight_shape{"6.7b qkv", 12288, 4096},
                            weight_shape{"6.7b fc1", 16384, 4096},   weight_shape{"6.7b fc2", 4096, 16384}};

std::uint16_t half_of(float x) {  // of a number that F16 has as a normal one, cut off
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | ((bits & 0x7fffffffu) - (112u << 23)) >> 13);
}

/// Random rows with a few outliers, as activations have, and random weights that F16 has exactly.
struct product_data {
  std::size_t m, n, k;
  std::vector<float> x, bias;
  std::vector<std::uint16_t> w;

  product_data(std::size_t rows, const weight_shape& shape) : m{rows}, n{shape.n}, k{shape.k} {
    std::mt19937 engine{1};
    std::normal_distribution<float> normal;
    x.resize(m * k);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = normal(engine) * (i % k % 997 == 5 ? 50.0f : 1.0f);
    bias.resize(n);
    for (float& value : bias) value = normal(engine);
    std::vector<std::uint16_t> block(1 << 16);
    for (std::uint16_t& value : block) {
      const float number = 0.02f * normal(engine);
      value = half_of(std::abs(number) < 1e-4f ? 1e-4f : number);
    }
    w.resize(n * k);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = block[(i * 40503 + i / k) % block.size()];
  }
  [[nodiscard]] matrix_view<float> weights() const {
    return {reinterpret_cast<const std::byte*>(w.data()), dtype::f16, {n, k}};
  }
};

/// A product's operands on the device.
class device_product_data {
 public:
  using space = cuda::space;

  device_product_data(cuda& backend, const product_data& data) : backend_{backend}, n_{data.n} {
    x_.resize(backend, {data.m, data.k});
    detail::copy_from_host<float, 2>(backend, {data.x.data(), {data.m, data.k}}, x_.view());
    bias_.resize(backend, {1, data.n});
    detail::copy_from_host<float, 2>(backend, {data.bias.data(), {1, data.n}}, bias_.view());
    w_.resize(backend, {data.n, 2 * data.k});
    detail::copy_from_host<std::byte, 2>(
        backend, {reinterpret_cast<const std::byte*>(data.w.data()), {data.n, 2 * data.k}}, w_.view());
    shape_ = {data.n, data.k};
  }
  /// The product of the rows first to first + count.
  [[nodiscard]] std::vector<float> rows(std::size_t first, std::size_t count) {
    y_.resize(backend_, {count, n_});
    backend_.linear(std::as_const(x_).view().slice(first, count), weights(), std::as_const(bias_).view().data(),
                    y_.view());
    std::vector<float> values(count * n_);
    detail::copy_to_host<float, 2>(backend_, std::as_const(y_).view(),
                                   tensor_view<float, 2>{values.data(), {count, n_}});
    return values;
  }

 private:
  [[nodiscard]] matrix_view<float, space> weights() const {
    return {pointer_to<const std::byte, space>{w_.view().data()}, dtype::f16, shape_};
  }

  cuda& backend_;
  std::size_t n_;
  std::array<std::size_t, 2> shape_{};
  tensor_in<float, 2, space> x_, bias_, y_;
  tensor_in<std::byte, 2, space> w_;
};

void card() {
  const cuda backend{{.threads = 1}};
  int driver = 0;
  cudaDriverGetVersion(&driver);
  std::printf("%s, %s, driver for CUDA %s, built with %s, NVRTC %s, cuBLASLt %zu, %s free\n",
              backend.device().name().c_str(), backend.device().architecture().c_str(),
              detail::cuda_version_text(driver).c_str(), detail::cuda_version_text(CUDART_VERSION).c_str(),
              detail::nvrtc_version().c_str(), cublasLtGetVersion(), memory_text(backend.free_memory()).c_str());
}

/// Whether a row's bits depend on how many rows there are, for products that are computed together.
int bits() {
  constexpr std::array<std::size_t, 22> counts{1,  2,  3,  5,   7,   8,   15,  16,  17,   31,   32,
                                               33, 64, 65, 127, 129, 255, 512, 777, 1024, 2047, 2559};
  bool same_everywhere = true;
  std::printf(
      "| weights | mode | row counts of %zu with the bits of 2560 rows | first that differs |\n| --- | --- | --- | --- "
      "|\n",
      counts.size());
  for (const weight_shape& shape : shapes) {
    const product_data data{2560, shape};
    for (const cuda_mode mode : modes) {
      cuda backend{{.mode = mode, .threads = 1, .rows_are_independent = true}};
      device_product_data on_device{backend, data};
      const std::vector<float> all = on_device.rows(0, 2560);
      std::size_t same = 0, differs = 0;
      for (const std::size_t count : counts) {
        const std::size_t first = count % 3;  // another place among the rows, too
        const std::vector<float> some = on_device.rows(first, count);
        const bool equal =
            std::equal(some.begin(), some.end(), all.begin() + static_cast<std::ptrdiff_t>(first * data.n));
        same += equal ? 1 : 0;
        if (!equal && differs == 0) differs = count;
      }
      same_everywhere = same_everywhere && differs == 0;
      std::printf("| %s | %s | %zu | %s |\n", shape.name, name_of(mode), same,
                  differs == 0 ? "none" : std::to_string(differs).c_str());
      std::fflush(stdout);
    }
  }
  std::printf("\n`rows_are_independent` may be set on this card: %s\n", same_everywhere ? "yes" : "no");
  return 0;
}

/// The largest error of each mode relative to the largest element, against fp64 on the CPU.
int product_errors() {
  std::printf("| weights | rows | mode | largest error / largest element |\n| --- | --- | --- | --- |\n");
  for (const weight_shape& shape : {shapes[1], shapes[3], shapes[7]}) {
    for (const std::size_t m : {1u, 40u}) {
      const product_data data{m, shape};
      tensor<double, 2> exact{{m, data.n}}, x{{m, data.k}};
      std::copy(data.x.begin(), data.x.end(), x.data());
      const std::vector<double> bias(data.bias.begin(), data.bias.end());
      cpu{}.linear(std::as_const(x).view(),
                   matrix_view<double>{reinterpret_cast<const std::byte*>(data.w.data()), dtype::f16, {data.n, data.k}},
                   bias.data(), exact.view());
      for (const cuda_mode mode : modes) {
        cuda backend{{.mode = mode, .threads = 1}};
        const std::vector<float> found = device_product_data{backend, data}.rows(0, m);
        double largest = 0, worst = 0;
        for (std::size_t i = 0; i < found.size(); ++i) {
          largest = std::max(largest, std::abs(exact.data()[i]));
          worst = std::max(worst, std::abs(static_cast<double>(found[i]) - exact.data()[i]));
        }
        std::printf("| %s | %zu | %s | %.1e |\n", shape.name, m, m == 1 ? "few rows" : name_of(mode), worst / largest);
        if (m == 1) break;
      }
    }
  }
  return 0;
}

template <class T>
using all_sites = basic_capture<T, site::embed, site::ln1_scale, site::q, site::k, site::v, site::scores, site::pattern,
                                site::z, site::attn_out, site::resid_mid, site::ln2, site::mlp_pre, site::mlp_post,
                                site::mlp_out, site::resid_post>;

token_batch some_texts(std::size_t count, std::size_t length, std::size_t vocabulary) {
  token_batch texts(count);
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t i = 0; i < length - t % 3; ++i) {
      texts[t].push_back(static_cast<token_id>((t * 977 + i * 7919 + 3) % vocabulary));
    }
  }
  return texts;
}

/// Every site of a model on the device and on the CPU: the largest difference relative to the site's largest element.
template <class T>
bool compare_sites(const char* folder, double tolerance) {
  const checkpoint files{folder};
  model<any_opt, T, cpu> host{files};
  model<any_opt, T, cuda> device{files};
  const token_batch texts =
      some_texts(3, std::min<std::size_t>(70, host.shape().max_positions), host.shape().vocabulary);
  all_sites<T> expected, found;
  host.run(texts, expected);
  device.run(texts, found);
  bool good = true;
  all_sites<T>::sites::for_each([&]<class Site>(Site at) {
    if (!Site::exists(host.shape())) return;
    double worst = 0;
    for (std::size_t layer = 0; layer < (Site::per_layer ? host.layers() : 1); ++layer) {
      for (std::size_t text = 0; text < texts.size(); ++text) {
        const auto a = expected(at, layer, text), b = found(at, layer, text);
        double largest = 0, difference = 0;
        for (std::size_t row = 0; row < a.rows(); ++row) {
          for (std::size_t i = 0; i < a.cols(); ++i) {
            const auto x = static_cast<double>(a.row(row)[i]), y = static_cast<double>(b.row(row)[i]);
            if (x == y) continue;  // infinities too
            largest = std::max(largest, std::abs(x));
            difference = std::isnan(x - y) ? INFINITY : std::max(difference, std::abs(x - y));
          }
        }
        if (difference > 0) worst = std::max(worst, difference / largest);
      }
    }
    good = good && worst <= tolerance;
    std::printf("| %s | %s | %.1e | %s |\n", std::string{Site::name}.c_str(), sizeof(T) == 4 ? "float" : "double",
                worst, worst <= tolerance ? "yes" : "NO");
  });
  return good;
}

int parity(const char* folder) {
  std::printf("| site | scalar | largest difference | within %.0e or %.0e |\n| --- | --- | --- | --- |\n", 5e-5, 1e-12);
  const bool in_float = compare_sites<float>(folder, 5e-5), in_double = compare_sites<double>(folder, 1e-12);
  return in_float && in_double ? 0 : 1;
}

/// One run of everything, for compute-sanitizer.
int tiny(const char* folder) {
  for (const cuda_mode mode : modes) {
    model<any_opt, float, cuda> opt{checkpoint{folder}, cuda{{.mode = mode, .threads = 1}}};
    typename decltype(opt)::cache_type cache;
    all_sites<float> probe;
    try {
      opt.run(some_texts(2, 21, opt.shape().vocabulary), probe);
    } catch (const cuda_mode_error& e) {
      std::printf("%s\n", e.what());
    }
    static_cast<void>(opt.next_logits({{2, 3, 4}, {2}}, cache));
    static_cast<void>(opt.next_logits({{5}, {6}}, cache));
  }
  std::printf("ran\n");
  return 0;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Forward with two sites at ten positions, and greedy decoding.
int times(const char* folder, std::size_t repeats) {
  std::printf(
      "| mode | load to first token, s | 10 x 512, two sites, ms | greedy, tokens/s | 8 prompts, tokens/s |\n"
      "| --- | --- | --- | --- | --- |\n");
  for (const cuda_mode mode : modes) {
    const auto begin = std::chrono::steady_clock::now();
    model<any_opt, float, cuda> opt{checkpoint{folder}, cuda{{.mode = mode}}};
    typename decltype(opt)::cache_type one, several;
    static_cast<void>(opt.next_logits({{2, 133, 812}}, one));
    const double load = seconds_since(begin);
    static_cast<void>(opt.next_logits(token_batch(8, {2, 133, 812}), several));
    const token_batch texts = some_texts(10, 512, opt.shape().vocabulary);
    std::vector<double> forward, step, steps;
    for (std::size_t i = 0; i < repeats + 1; ++i) {  // the first is left out
      capture<site::attn_out, site::resid_post> probe{positions::strided(470, 4, 10)};
      auto start = std::chrono::steady_clock::now();
      opt.run(texts, probe);
      forward.push_back(seconds_since(start));
    }
    for (std::size_t i = 0; i < 16 * repeats; ++i) {
      auto start = std::chrono::steady_clock::now();
      static_cast<void>(opt.next_logits({{31}}, one));
      step.push_back(seconds_since(start));
      if (i % 4 != 0) continue;
      start = std::chrono::steady_clock::now();
      static_cast<void>(opt.next_logits(token_batch(8, {31}), several));
      steps.push_back(seconds_since(start));
    }
    const auto median = [](std::vector<double> values, std::size_t left_out) {
      values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(left_out));
      std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
      return values[values.size() / 2];
    };
    std::printf("| %s | %.2f | %.1f | %.0f | %.0f |\n", name_of(mode), load, 1e3 * median(forward, 1),
                1 / median(step, 2), 8 / median(steps, 1));
    std::fflush(stdout);
  }
  return 0;
}

int run(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "card") return card(), 0;
  if (what == "bits") return bits();
  if (what == "modes") return product_errors();
  if (what == "parity" && argc > 2) return parity(argv[2]);
  if (what == "tiny" && argc > 2) return tiny(argv[2]);
  if (what == "times" && argc > 2) return times(argv[2], argc > 3 ? std::stoul(argv[3]) : 3);
  std::fprintf(stderr,
               "usage: check card | bits | modes | parity MODEL_DIR | tiny MODEL_DIR | times MODEL_DIR [REPEATS]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "check: %s\n", e.what());
    return 1;
  }
}

// SPDX-License-Identifier: MIT
#pragma once
// An NVIDIA GPU: its memory, the library's kernels on it, products by cuBLASLt. Needs the CUDA toolkit 12.8 or later.

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optscope/backend/cuda_compile.hpp>
#include <optscope/backend/cuda_errors.hpp>
#include <optscope/backend/device_product.hpp>
#include <optscope/core/dtype.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#if CUDART_VERSION < 12080
#error "optscope/backend/cuda.hpp needs the CUDA toolkit 12.8 or later: this one has no cudaLibraryLoadData"
#endif

namespace optscope::detail {

/// "13.0" of 13000, as CUDA numbers its versions.
[[nodiscard]] inline std::string cuda_version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

inline void check_cuda(cudaError_t result, std::string_view doing) {
  if (result == cudaSuccess) return;
  throw cuda_error{"CUDA: " + std::string{doing} + ": " + cudaGetErrorString(result)};
}
inline void check_cublas(cublasStatus_t result, std::string_view doing) {
  if (result == CUBLAS_STATUS_SUCCESS) return;
  throw cuda_error{"CUDA: " + std::string{doing} + ": cuBLASLt says " + cublasLtGetStatusString(result)};
}

/// Throws `no_cuda_device` unless there is a driver that is new enough, and a device of this number.
inline void require_device(int number) {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (driver == 0) {
    throw no_cuda_device{"CUDA: no NVIDIA driver is installed; install one, or run on the CPU"};
  }
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaErrorInsufficientDriver) {
    throw no_cuda_device{"CUDA: the NVIDIA driver is too old: it supports CUDA " + cuda_version_text(driver) +
                         ", the program was built with " + cuda_version_text(CUDART_VERSION) +
                         "; install a later driver, or build with an earlier toolkit (12.8 or later)"};
  }
  if (result == cudaErrorNoDevice || (result == cudaSuccess && count == 0)) {
    throw no_cuda_device{
        "CUDA: the NVIDIA driver finds no device; check nvidia-smi and CUDA_VISIBLE_DEVICES, or run on the CPU"};
  }
  if (result != cudaSuccess) {
    throw no_cuda_device{std::string{"CUDA: the devices cannot be counted: "} + cudaGetErrorString(result)};
  }
  if (number < 0 || number >= count) {
    throw no_cuda_device{"CUDA: expected the number of a device, 0 to " + std::to_string(count - 1) + ", found " +
                         std::to_string(number)};
  }
}

/// One stream of work on a device. `basic_cuda` says what the members are for; used by one thread at a time. What it
/// starts runs later, in order; copies to the host wait.
class cuda_device {
 public:
  static constexpr unsigned threads = 256;  ///< of a block

  /// Throws `no_cuda_device`, `cuda_toolkit_error`.
  explicit cuda_device(int number) : number_{number} {
    require_device(number);
    use();
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, number), "asking for the device's properties");
    name_ = properties.name;
    const int architecture = 10 * properties.major + properties.minor;
    require_architecture(architecture);
    architecture_ = "sm_" + std::to_string(architecture);
    int shared = 0;
    check_cuda(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, number),
               "asking for the device's shared memory");
    shared_bytes_ = static_cast<std::size_t>(shared);
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "starting a stream of work");
    cudaMemPool_t pool{};
    check_cuda(cudaDeviceGetDefaultMemPool(&pool, number), "asking for the device's memory pool");
    std::uint64_t all = ~std::uint64_t{0};  // memory that is freed is kept for the next run
    check_cuda(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all), "setting up the memory pool");
  }
  cuda_device(const cuda_device&) = delete;
  cuda_device& operator=(const cuda_device&) = delete;
  ~cuda_device() {
    cudaSetDevice(number_);
    cudaStreamSynchronize(stream_);
    for (const auto& [scalar, library] : libraries_) cudaLibraryUnload(library);
    if (products_ != nullptr) cublasLtDestroy(products_);
    cudaStreamDestroy(stream_);
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }                  ///< of the card
  [[nodiscard]] const std::string& architecture() const noexcept { return architecture_; }  ///< such as "sm_90"
  [[nodiscard]] std::size_t shared_bytes() const noexcept { return shared_bytes_; }         ///< for a block, at most
  [[nodiscard]] int number() const noexcept { return number_; }

  /// Bytes that can still be allocated.
  [[nodiscard]] std::size_t free_memory() {
    use();
    std::size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
    cudaMemPool_t pool{};
    std::uint64_t reserved = 0, used = 0;
    if (cudaDeviceGetDefaultMemPool(&pool, number_) == cudaSuccess &&
        cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved) == cudaSuccess &&
        cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used) == cudaSuccess) {
      free += reserved - used;
    }
    return free;
  }

  /// Throws `cuda_out_of_memory`.
  [[nodiscard]] void* allocate(std::size_t bytes) {
    use();
    void* memory = nullptr;
    const cudaError_t result = cudaMallocAsync(&memory, bytes, stream_);
    if (result == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // forgets it
      throw cuda_out_of_memory{"an array", bytes, free_memory()};
    }
    check_cuda(result, "allocating " + memory_text(bytes));
    return memory;
  }
  void free(void* memory) noexcept {
    cudaSetDevice(number_);
    cudaFreeAsync(memory, stream_);
  }

  /// Copies `rows` of `row_bytes`, as many bytes apart as `to_stride` and `from_stride` say.
  void copy_to_device(void* to, std::size_t to_stride, const void* from, std::size_t from_stride, std::size_t row_bytes,
                      std::size_t rows) {
    copy(to, to_stride, from, from_stride, row_bytes, rows, cudaMemcpyHostToDevice);
    wait();  // the host may change what it has copied
  }
  void copy_to_host(void* to, std::size_t to_stride, const void* from, std::size_t from_stride, std::size_t row_bytes,
                    std::size_t rows) {
    copy(to, to_stride, from, from_stride, row_bytes, rows, cudaMemcpyDeviceToHost);
    wait();
  }
  /// Source and target do not overlap.
  void copy_within(void* to, std::size_t to_stride, const void* from, std::size_t from_stride, std::size_t row_bytes,
                   std::size_t rows) {
    copy(to, to_stride, from, from_stride, row_bytes, rows, cudaMemcpyDeviceToDevice);
  }
  void wait() { check_cuda(cudaStreamSynchronize(stream_), "computing"); }

  /// Starts a kernel of scalar T by name; the arguments have the types of its parameters, `index` being std::size_t.
  template <class T, class... Arguments>
  void launch(const char* kernel, std::array<std::size_t, 3> grid, std::size_t shared_bytes, Arguments... arguments) {
    static_assert(((std::is_pointer_v<Arguments> || std::is_same_v<Arguments, std::size_t> ||
                    std::is_same_v<Arguments, int> || std::is_same_v<Arguments, T>)&&...));
    static_assert(sizeof(std::size_t) == sizeof(unsigned long long));
    use();
    const cudaKernel_t found = kernel_of(std::is_same_v<T, float> ? "float" : "double", kernel);
    std::array<void*, sizeof...(Arguments)> pointers{&arguments...};
    const auto extent = [](std::size_t blocks) { return static_cast<unsigned>(blocks); };
    check_cuda(
        cudaLaunchKernel(reinterpret_cast<const void*>(found), dim3{extent(grid[0]), extent(grid[1]), extent(grid[2])},
                         dim3{threads, 1, 1}, pointers.data(), shared_bytes, stream_),
        std::string{"starting the kernel "} + kernel);
  }

  /// Throws `cuda_error` if cuBLASLt has no algorithm for the product.
  void multiply(const device_product& product);

 private:
  void use() const { check_cuda(cudaSetDevice(number_), "choosing the device"); }

  void copy(void* to, std::size_t to_stride, const void* from, std::size_t from_stride, std::size_t row_bytes,
            std::size_t rows, cudaMemcpyKind kind) {
    if (row_bytes == 0 || rows == 0) return;
    use();
    if (rows == 1 || (to_stride == row_bytes && from_stride == row_bytes)) {
      check_cuda(cudaMemcpyAsync(to, from, row_bytes * rows, kind, stream_), "copying");
    } else {
      check_cuda(cudaMemcpy2DAsync(to, to_stride, from, from_stride, row_bytes, rows, kind, stream_), "copying");
    }
  }

  cudaKernel_t kernel_of(const std::string& scalar, const char* name) {
    const auto [place, is_new] = kernels_.try_emplace({scalar, name}, cudaKernel_t{});
    if (!is_new) return place->second;
    try {
      auto library = libraries_.find(scalar);
      if (library == libraries_.end()) {
        const std::string cubin = cached_kernels(kernel_cache_folder(), cuda_source(), architecture_, scalar);
        cudaLibrary_t loaded{};
        check_cuda(cudaLibraryLoadData(&loaded, cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
                   "loading the kernels");
        library = libraries_.emplace(scalar, loaded).first;
      }
      check_cuda(cudaLibraryGetKernel(&place->second, library->second, name),
                 std::string{"finding the kernel "} + name);
      if (std::string_view{name} == "attention") {
        check_cuda(cudaKernelSetAttributeForDevice(place->second, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shared_bytes_), number_),
                   "asking for shared memory");
      }
    } catch (...) {
      kernels_.erase(place);
      throw;
    }
    return place->second;
  }

  /// What an algorithm is chosen for: the product without its number of rows.
  using product_shape = std::tuple<device_arithmetic, bool, bool, std::size_t, std::size_t, std::size_t, bool>;

  int number_;
  std::string name_, architecture_;
  std::size_t shared_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t products_ = nullptr;
  std::map<std::string, cudaLibrary_t> libraries_;                            // by scalar
  std::map<std::pair<std::string, std::string_view>, cudaKernel_t> kernels_;  // by scalar and name
  std::map<product_shape, cublasLtMatmulAlgo_t> algorithms_;
};

/// The descriptions that cuBLASLt wants, destroyed with it.
struct cublas_description {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;

  cublas_description() = default;
  cublas_description(const cublas_description&) = delete;
  cublas_description& operator=(const cublas_description&) = delete;
  ~cublas_description() {
    if (preference != nullptr) cublasLtMatmulPreferenceDestroy(preference);
    for (const cublasLtMatrixLayout_t layout : {w, x, y}) {
      if (layout != nullptr) cublasLtMatrixLayoutDestroy(layout);
    }
    if (operation != nullptr) cublasLtMatmulDescDestroy(operation);
  }
};

// cuBLASLt's matrices are column by column: row by row, y = x wᵀ is to it yᵀ = w xᵀ, (n, m) = (n, k) (k, m).
inline void cuda_device::multiply(const device_product& product) {
  if (product.m == 0 || product.n == 0) return;
  use();
  constexpr std::string_view doing = "multiplying";
  if (products_ == nullptr) check_cublas(cublasLtCreate(&products_), "starting cuBLASLt");
  struct kind {
    cublasComputeType_t compute;
    cudaDataType scale, factors, result;
    std::size_t factor_bytes, result_bytes;
  };
  const auto of = [](device_arithmetic arithmetic) -> kind {
    switch (arithmetic) {
      case device_arithmetic::f32: return {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, 4, 4};
      case device_arithmetic::tf32: return {CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, 4, 4};
      case device_arithmetic::f16: return {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16F, CUDA_R_32F, 2, 4};
      case device_arithmetic::bf16: return {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_32F, 2, 4};
      default: return {CUBLAS_COMPUTE_64F, CUDA_R_64F, CUDA_R_64F, CUDA_R_64F, 8, 8};
    }
  };
  const kind type = of(product.arithmetic);
  cublas_description all;
  check_cublas(cublasLtMatmulDescCreate(&all.operation, type.compute, type.scale), doing);
  const cublasOperation_t w_operation = product.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, x_operation = CUBLAS_OP_N;
  check_cublas(
      cublasLtMatmulDescSetAttribute(all.operation, CUBLASLT_MATMUL_DESC_TRANSA, &w_operation, sizeof w_operation),
      doing);
  check_cublas(
      cublasLtMatmulDescSetAttribute(all.operation, CUBLASLT_MATMUL_DESC_TRANSB, &x_operation, sizeof x_operation),
      doing);
  const auto stride = [](std::size_t elements) { return static_cast<std::int64_t>(elements); };
  const std::size_t w_rows = product.transposed ? product.k : product.n;  // of its columns, to cuBLASLt
  const std::size_t w_columns = product.transposed ? product.n : product.k;
  check_cublas(cublasLtMatrixLayoutCreate(&all.w, type.factors, w_rows, w_columns, stride(product.w_stride)), doing);
  const auto describe_rows = [&](std::size_t m) {
    for (cublasLtMatrixLayout_t* const layout : {&all.x, &all.y}) {
      if (*layout != nullptr) cublasLtMatrixLayoutDestroy(*layout);
      *layout = nullptr;
    }
    check_cublas(cublasLtMatrixLayoutCreate(&all.x, type.factors, product.k, m, stride(product.x_stride)), doing);
    check_cublas(cublasLtMatrixLayoutCreate(&all.y, type.result, product.n, m, stride(product.y_stride)), doing);
  };
  // What the pointers and strides are multiples of, in bytes: algorithms that load 16 bytes at once, or any.
  const std::size_t apart = (reinterpret_cast<std::uintptr_t>(product.w) | reinterpret_cast<std::uintptr_t>(product.x) |
                             reinterpret_cast<std::uintptr_t>(product.y) | product.w_stride * type.factor_bytes |
                             product.x_stride * type.factor_bytes | product.y_stride * type.result_bytes) %
                            16;
  const bool aligned = apart == 0;
  const product_shape shape{
      product.arithmetic, product.transposed, product.accumulate, product.n, product.k, product.w_stride, aligned};
  auto algorithm = algorithms_.find(shape);
  if (algorithm == algorithms_.end()) {
    // One algorithm for any number of rows, which adds up k in one piece, so that bits depend on as little as possible.
    describe_rows(2560);
    check_cublas(cublasLtMatmulPreferenceCreate(&all.preference), doing);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      check_cublas(cublasLtMatmulPreferenceSetAttribute(all.preference, what, &value, sizeof value), doing);
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{0});
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
    for (const auto alignment :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer(alignment, static_cast<std::uint32_t>(aligned ? 16 : type.factor_bytes));
    }
    std::array<cublasLtMatmulHeuristicResult_t, 16> offered{};
    int count = 0;
    const cublasStatus_t result =
        cublasLtMatmulAlgoGetHeuristic(products_, all.operation, all.w, all.x, all.y, all.y, all.preference,
                                       static_cast<int>(offered.size()), offered.data(), &count);
    if (result != CUBLAS_STATUS_NOT_SUPPORTED) check_cublas(result, "choosing how to multiply");
    for (int i = 0; i < count && algorithm == algorithms_.end(); ++i) {
      std::int32_t split = 1;
      std::size_t written = 0;
      const cublasLtMatmulHeuristicResult_t& each = offered[static_cast<std::size_t>(i)];
      if (each.state != CUBLAS_STATUS_SUCCESS || each.workspaceSize != 0) continue;
      cublasLtMatmulAlgoConfigGetAttribute(&each.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split, &written);
      if (split <= 1) algorithm = algorithms_.emplace(shape, each.algo).first;
    }
    if (algorithm == algorithms_.end()) {
      throw cuda_error{"CUDA: cuBLASLt has no algorithm without memory of its own for a product of (row, " +
                       std::to_string(product.k) + ") and (" + std::to_string(product.k) + ", " +
                       std::to_string(product.n) + "); another mode may have one"};
    }
  }
  describe_rows(product.m);
  const float one = 1, beta = product.accumulate ? 1.0f : 0.0f;
  const double wide_one = 1, wide_beta = beta;
  const bool wide = type.scale == CUDA_R_64F;
  check_cublas(cublasLtMatmul(products_, all.operation, wide ? static_cast<const void*>(&wide_one) : &one, product.w,
                              all.w, product.x, all.x, wide ? static_cast<const void*>(&wide_beta) : &beta, product.y,
                              all.y, product.y, all.y, &algorithm->second, nullptr, 0, stream_),
               doing);
}

}  // namespace optscope::detail

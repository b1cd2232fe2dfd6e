// SPDX-License-Identifier: MIT
#pragma once
// Copies of a model that run at the same time, for many small runs.

#include <algorithm>
#include <cstddef>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/weights.hpp>
#include <vector>

namespace optscope {

/// Copies of a model that share out independent runs. Products too small to be worth sharing out among threads are
/// computed whole, several runs at once. For any backend; weights and block must be copyable.
///
///     side_by_side<model<any_opt, float, cpu, pruned_weights<float>>> copies{opt};
///     copies(count, [&](std::size_t i, std::size_t copy) { copies[copy].run(texts[i], probes[i]); });
///
/// There is one copy for each thread of the model's pool. Where all of them would take more than half of the memory
/// that is free there are fewer, with several threads each; on a backend with a memory of its own there is one, since
/// each would have the weights there once more. What a copy computes has the bits of the model's own.
template <class Model>
class side_by_side {
 public:
  /// The copies share weights as far as copies of their policy do.
  explicit side_by_side(Model& opt) : pool_{std::min(opt.backend().pool().size(), copies_that_fit(opt))} {
    const std::size_t threads = opt.backend().pool().size();
    copies_.reserve(pool_.size());
    for (std::size_t i = 0; i < pool_.size(); ++i) {
      copies_.emplace_back(opt, opt.backend().with_threads(threads / pool_.size()));
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return copies_.size(); }

  [[nodiscard]] Model& operator[](std::size_t copy) { return copies_[copy]; }

  /// Calls `body(index, copy)` for every index below `count`. Any copy may get an index; each copy gets one at a time.
  template <class Body>
  void operator()(std::size_t count, Body&& body) {
    pool_.parallel_for(count, body);
  }

 private:
  static std::size_t copies_that_fit(Model& opt) {
    if (!Model::memory_space::host) return 1;
    const matrix_view<typename Model::scalar> last = opt.weights().unembedding();
    std::size_t bytes = last.rows() * last.row_bytes();
    for (std::size_t i = 0; i < opt.layers(); ++i) {
      bytes += stored_bytes<typename Model::scalar>(opt.weights().layer(i, i + 1, opt.backend().pool()));
    }
    return std::max<std::size_t>(1, available_memory() / 2 / std::max<std::size_t>(1, bytes));
  }

  thread_pool pool_;
  std::vector<Model> copies_;
};

}  // namespace optscope

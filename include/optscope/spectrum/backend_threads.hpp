// SPDX-License-Identifier: MIT
#pragma once
// The threads of any backend, kept alive for as long as they are used.

#include <concepts>
#include <memory>
#include <optscope/core/threads.hpp>
#include <type_traits>

namespace optscope {

/// What a Jacobian needs of a backend: its threads. Converts from every backend and keeps a copy of it, so that the
/// pool stays alive. Default-constructed, it has a pool with a thread for each core.
class backend_threads {
 public:
  backend_threads() {
    const auto owner = std::make_shared<thread_pool>();
    pool_ = {owner, owner.get()};
  }
  template <class Backend>
    requires(!std::same_as<std::remove_cvref_t<Backend>, backend_threads>) && requires(Backend& backend) {
      { backend.pool() } -> std::same_as<thread_pool&>;
    }
  backend_threads(const Backend& backend) {  // NOLINT: implicit, so that a backend can be passed as it is
    const auto owner = std::make_shared<Backend>(backend);
    pool_ = {owner, &owner->pool()};
  }

  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }

 private:
  std::shared_ptr<thread_pool> pool_;
};

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// Bodies of streamed_weights.hpp.

#include <array>
#include <atomic>
#include <exception>
#include <optscope/opt/streamed_weights.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace optscope {

template <class T>
struct streamed_weights<T>::state {
  explicit state(layer_reader<T> from) : reader{std::move(from)}, thread{[this] { serve(); }} {
    for (std::vector<T>& buffer : buffers) buffer.resize(reader.size());
  }
  ~state() {
    wanted.store(stop, std::memory_order_release);
    wanted.notify_one();
    thread.join();
  }

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool) {
    wait();
    if (ready != index) {
      ready = none;  // in case reading throws
      views[spare] = reader.read(index, buffers[spare].data(), pool);
    }
    const layer_weights<T> result = views[spare];
    spare = 1 - spare;
    ready = none;
    if (index + 1 < end) {
      failure = nullptr;
      wanted.store(index + 1, std::memory_order_release);
      wanted.notify_one();
    }
    return result;
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1), stop = static_cast<std::size_t>(-2);

  /// Returns when the thread is idle, and throws what stopped it.
  void wait() {
    std::size_t at = wanted.load(std::memory_order_acquire);
    while (at != none) {
      wanted.wait(at, std::memory_order_acquire);
      at = wanted.load(std::memory_order_acquire);
    }
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }

  void serve() {
    for (;;) {
      wanted.wait(none, std::memory_order_acquire);
      std::size_t layer = wanted.load(std::memory_order_acquire);
      if (layer == stop) return;
      if (layer == none) continue;
      try {
        views[spare] = reader.read(layer, buffers[spare].data());
        ready = layer;
      } catch (...) {
        failure = std::current_exception();
      }
      // A stop that came meanwhile stays.
      if (wanted.compare_exchange_strong(layer, none, std::memory_order_acq_rel)) wanted.notify_one();
    }
  }

  layer_reader<T> reader;
  std::array<std::vector<T>, 2> buffers;
  std::array<layer_weights<T>, 2> views;
  std::size_t spare = 0;     // the buffer that no result refers to
  std::size_t ready = none;  // the layer in it
  std::exception_ptr failure;
  std::atomic<std::size_t> wanted{none};  // the layer that the thread is reading; none: it is idle
  std::thread thread;
};

template <class T>
streamed_weights<T>::streamed_weights(const checkpoint& files, const architecture& shape, thread_pool&)
    : streamed_weights{layer_reader<T>{files, shape}, files, shape} {}  // the layers are checked first

template <class T>
streamed_weights<T>::streamed_weights(layer_reader<T> layers, const checkpoint& files, const architecture& shape)
    : outer_reader<T>{files, shape}, state_{std::make_unique<state>(std::move(layers))} {}

template <class T>
streamed_weights<T>::streamed_weights(streamed_weights&&) noexcept = default;
template <class T>
streamed_weights<T>& streamed_weights<T>::operator=(streamed_weights&&) noexcept = default;
template <class T>
streamed_weights<T>::~streamed_weights() = default;

template <class T>
layer_weights<T> streamed_weights<T>::layer(std::size_t index, std::size_t end, thread_pool& pool) {
  return state_->layer(index, end, pool);
}

#ifdef OPTSCOPE_COMPILED
template class streamed_weights<float>;
template class streamed_weights<double>;
#endif

}  // namespace optscope

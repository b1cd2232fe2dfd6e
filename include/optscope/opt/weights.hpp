// SPDX-License-Identifier: MIT
#pragma once
// The weights of one decoder layer as the forward pass wants them, and the policies that provide them.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace optscope {

/// y = x weightᵀ + bias; weight [out, in]; bias null where the model has none.
template <class T>
struct linear_weights {
  tensor_view<const T, 2> weight;
  const T* bias = nullptr;
};

/// Scale and shift of a LayerNorm, null where it has none.
template <class T>
struct norm_weights {
  const T* gamma = nullptr;
  const T* beta = nullptr;
};

/// One layer. The three input maps of attention are one matrix: rows of q, then k, then v. A layer of which heads were
/// cut out has (3 head_dim heads, hidden) and (hidden, head_dim heads) there.
template <class T>
struct layer_weights {
  norm_weights<T> ln1, ln2;
  linear_weights<T> qkv;  // (3 hidden, hidden)
  linear_weights<T> out;  // (hidden, hidden)
  linear_weights<T> fc1;  // (ffn, hidden)
  linear_weights<T> fc2;  // (hidden, ffn)
};

/// Throws `checkpoint_error` unless the tensor has this shape.
inline const stored_tensor& require_shape(const stored_tensor& tensor, const std::vector<std::size_t>& shape) {
  if (tensor.shape() == shape) return tensor;
  const auto text = [](const std::vector<std::size_t>& extents) {
    std::string result = "shape [";
    for (std::size_t i = 0; i < extents.size(); ++i) result += (i ? ", " : "") + std::to_string(extents[i]);
    return result + "]";
  };
  throw checkpoint_error{tensor.file().string(), "tensor " + tensor.name(), text(shape), text(tensor.shape())};
}

/// Throws `checkpoint_error` if layers differ in their neurons or heads; `why` such as "for Jacobians".
inline void require_even_layers(const checkpoint& files, const std::string& why) {
  if (!files.configuration().uneven()) return;
  throw checkpoint_error{(files.folder() / "config.json").string(), "ffn_dims, attention_heads",
                         "layers of one size, " + why, "a size for each layer"};
}

/// Reads layers from a checkpoint into buffers of T.
template <class T>
class layer_reader {
 public:
  /// Checks the shapes of all layers' tensors; throws `checkpoint_error` for one that is missing or has another.
  layer_reader(const checkpoint& files, const architecture& shape)
      : shape_{shape}, neurons_{files.configuration().ffn_dims}, heads_{files.configuration().attention_heads} {
    neurons_.resize(shape.layers, shape.ffn);
    heads_.resize(shape.layers, shape.heads);
    layers_.resize(shape.layers);
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
      const std::string prefix = "decoder.layers." + std::to_string(layer) + ".";
      std::size_t size = 0;
      const auto place = [&](const std::string& name, std::vector<std::size_t> extents) {
        const stored_tensor& tensor = require_shape(files.at(prefix + name), extents);
        const auto shared = std::make_shared<const stored_tensor>(tensor);
        const std::size_t rows = std::max<std::size_t>(1, piece_size / tensor.row_size());
        for (std::size_t first = 0; first < tensor.rows(); first += rows) {
          const std::size_t count = std::min(rows, tensor.rows() - first);
          layers_[layer].push_back({shared, first, count, size + first * tensor.row_size()});
        }
        size += tensor.size();
      };
      const std::size_t h = shape.hidden, f = neurons_[layer], a = heads_[layer] * shape.head_dim();
      // The order is the layout of the buffer; `view` walks it in the same order.
      norm(place, "self_attn_layer_norm");
      norm(place, "final_layer_norm");
      for (const char* name : {"q_proj", "k_proj", "v_proj"})
        place("self_attn." + std::string{name} + ".weight", {a, h});
      if (shape.bias) {
        for (const char* name : {"q_proj", "k_proj", "v_proj"}) place("self_attn." + std::string{name} + ".bias", {a});
      }
      linear(place, "self_attn.out_proj", h, a);
      linear(place, "fc1", f, h);
      linear(place, "fc2", h, f);
      size_ = std::max(size_, size);
    }
  }

  /// Elements that the largest layer needs.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Converts a layer into `buffer` of `size()` elements, on all threads of the pool. Allocates nothing.
  layer_weights<T> read(std::size_t layer, T* buffer, thread_pool& pool) const {
    const std::vector<piece>& pieces = layers_[layer];
    pool.parallel_for(pieces.size(), [&](std::size_t i, std::size_t) { copy(pieces[i], buffer); });
    return view(layer, buffer);
  }
  /// The same on the calling thread alone, with the disk some pieces ahead, into the next layer.
  layer_weights<T> read(std::size_t layer, T* buffer) const {
    const std::vector<piece>& pieces = layers_[layer];
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool here = i + pieces_ahead < pieces.size();
      const std::vector<piece>& list = layers_[std::min(layer + (here ? 0 : 1), layers_.size() - 1)];
      const std::size_t next = here ? i + pieces_ahead : std::min(i + pieces_ahead - pieces.size(), list.size() - 1);
      list[next].tensor->read_ahead(list[next].first, list[next].count);
      copy(pieces[i], buffer);
    }
    return view(layer, buffer);
  }

 private:
  template <class Place>
  void norm(Place&& place, const std::string& name) const {
    if (!shape_.affine_layer_norm) return;
    place(name + ".weight", {shape_.hidden});
    place(name + ".bias", {shape_.hidden});
  }
  template <class Place>
  void linear(Place&& place, const std::string& name, std::size_t out, std::size_t in) const {
    place(name + ".weight", {out, in});
    if (shape_.bias) place(name + ".bias", {out});
  }

  layer_weights<T> view(std::size_t layer, const T* at) const {
    const auto take = [&at](std::size_t count) { return std::exchange(at, at + count); };
    const auto norm = [&]() -> norm_weights<T> {
      if (!shape_.affine_layer_norm) return {};
      const T* gamma = take(shape_.hidden);
      return {gamma, take(shape_.hidden)};
    };
    const auto linear = [&](std::size_t out, std::size_t in) -> linear_weights<T> {
      const tensor_view<const T, 2> weight{take(out * in), {out, in}};
      return {weight, shape_.bias ? take(out) : nullptr};
    };
    layer_weights<T> result;
    result.ln1 = norm();
    result.ln2 = norm();
    const std::size_t width = heads_[layer] * shape_.head_dim();
    result.qkv = linear(3 * width, shape_.hidden);
    result.out = linear(shape_.hidden, width);
    result.fc1 = linear(neurons_[layer], shape_.hidden);
    result.fc2 = linear(shape_.hidden, neurons_[layer]);
    return result;
  }

  static constexpr std::size_t piece_size = 1 << 18;  // elements that one thread converts at a time, about
  static constexpr std::size_t pieces_ahead = 64;     // that the disk reads
  struct piece {                                      // rows of a tensor and where in the buffer they go
    std::shared_ptr<const stored_tensor> tensor;
    std::size_t first, count, offset;
  };
  static void copy(const piece& from, T* buffer) {
    from.tensor->copy_rows(from.first, from.count, buffer + from.offset);
  }
  architecture shape_;
  std::vector<std::size_t> neurons_, heads_;  // [layer]
  std::vector<std::vector<piece>> layers_;    // [layer]
  std::size_t size_ = 0;
};

/// A weight policy: gives the layers in the scalar of the model. `layer(i, end, pool)` says that the layers up to `end`
/// will be asked for in turn; what it gives is valid until the next call.
template <class W, class T>
concept weight_policy = requires(W weights, const checkpoint& files, const architecture& shape, thread_pool& pool) {
  W{files, shape, pool};
  { weights.layer(std::size_t{}, std::size_t{}, pool) } -> std::convertible_to<layer_weights<T>>;
};

/// Converts each layer from the mapped file while the one before is computed: memory for two layers, so that a model
/// may be larger than the machine's. The default.
template <class T>
class streamed_weights {
 public:
  streamed_weights(const checkpoint& files, const architecture& shape, thread_pool&)
      : state_{std::make_unique<state>(layer_reader<T>{files, shape})} {}

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool) {
    return state_->layer(index, end, pool);
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// What the reading thread refers to; it stays where it is when the policy is moved.
  struct state {
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
    static constexpr std::size_t stop = static_cast<std::size_t>(-2);

    /// Returns when the thread is idle, and throws what stopped it.
    void wait() {
      for (std::size_t at = wanted.load(std::memory_order_acquire); at != none;
           at = wanted.load(std::memory_order_acquire)) {
        wanted.wait(at, std::memory_order_acquire);
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

  std::unique_ptr<state> state_;
};

/// Converts all layers once: memory for the whole model, no work later. For many short runs. Copies share the memory.
template <class T>
class resident_weights {
 public:
  resident_weights(const checkpoint& files, const architecture& shape, thread_pool& pool) {
    const layer_reader<T> reader{files, shape};
    buffer_ = std::make_shared<std::vector<T>>(reader.size() * shape.layers);
    for (std::size_t i = 0; i < shape.layers; ++i) {
      layers_.push_back(reader.read(i, buffer_->data() + i * reader.size(), pool));
    }
  }

  layer_weights<T> layer(std::size_t index, std::size_t, thread_pool&) { return layers_[index]; }

 private:
  std::shared_ptr<std::vector<T>> buffer_;
  std::vector<layer_weights<T>> layers_;
};

static_assert(weight_policy<streamed_weights<float>, float> && weight_policy<resident_weights<double>, double>);

}  // namespace optscope

// SPDX-License-Identifier: MIT
#pragma once
// An observer that appends activations to a file as texts pass, and goes on where a killed process was.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/capture.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Writes what a `capture` keeps of each text: tensors `TEXT.SITE.LAYER`, `TEXT.SITE` for sites without a layer, text
/// by text. Memory is that of one run, so the texts go in several; each run is whole texts, in order:
///
///     sink<resumable_safetensors, site::resid_post> file{"out.safetensors", opt.shape(), lengths,
///     capture<site::resid_post>{}}; while (const std::size_t count = file.next_batch(1 << 28)) {  // bytes, about
///       const auto first = texts.begin() + file.next_text();
///       opt.run({first, first + count}, file);
///     }
///     file.commit();
///
/// After a kill the same lines go on behind the last whole text on the disk: `next_text()` is not 0 then. `Writer` is
/// such as `resumable_safetensors`, whose errors it throws.
template <class Writer, class... Sites>
class sink {
 public:
  using sites = site_list<Sites...>;

  /// `lengths`: the tokens of all texts. `metadata` should tell apart what must not go on in the same file: models,
  /// token ids, positions. Throws `bad_input` as the capture does.
  sink(const std::filesystem::path& path, const architecture& shape, std::vector<std::size_t> lengths,
       capture<Sites...> what, const std::map<std::string, std::string>& metadata = {{"format", "pt"}})
      : shape_{shape}, lengths_{std::move(lengths)}, what_{std::move(what)}, file_{path, items_of(), metadata} {
    while (next_ < lengths_.size() && ends_[next_] <= file_.bytes_found()) ++next_;
    file_.keep(next_ == 0 ? 0 : ends_[next_ - 1]);
  }

  /// The first text that is not in the file.
  [[nodiscard]] std::size_t next_text() const noexcept { return next_; }
  /// How many texts to run next so that about so many bytes are taken, at least one; 0 when all are in the file.
  [[nodiscard]] std::size_t next_batch(std::size_t most_bytes) const {
    std::size_t count = 0, bytes = 0;
    for (; next_ + count < lengths_.size(); ++count) {
      const std::size_t text = next_ + count;
      bytes += ends_[text] - (text == 0 ? 0 : ends_[text - 1]) + lengths_[text] * shape_.hidden * sizeof(float);
      if (count != 0 && bytes > most_bytes) break;
    }
    return count;
  }

  template <class Site>
  [[nodiscard]] bool wants(Site site, std::size_t layer) const {
    return what_.wants(site, layer);
  }
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return what_.first_wanted(text); }
  /// Throws `bad_input` if the run is not of the next texts, whole.
  void begin(const run_plan& plan) {
    const bool whole = std::ranges::all_of(plan.cached, [](std::size_t tokens) { return tokens == 0; });
    if (!whole || plan.lengths.size() > lengths_.size() - next_ ||
        !std::equal(plan.lengths.begin(), plan.lengths.end(), lengths_.begin() + static_cast<std::ptrdiff_t>(next_))) {
      throw bad_input{"", "sink", "a run over whole texts from number " + std::to_string(next_), "others"};
    }
    what_.begin(plan);
  }
  template <class Site, class T>
  void operator()(Site site, const place& at, tensor_view<const T, Site::rank> view) {
    what_(site, at, view);
  }
  void end() {
    for (std::size_t text = 0; text < what_.texts(); ++text) {
      for_each_tensor([&]<class Site>(Site site, std::size_t layer) {
        const auto view = what_(site, layer, text);
        file_.append(std::span<const float>{view.data(), view.size()});
      });
    }
    file_.sync();
    next_ += what_.texts();
  }
  /// Gives the file its name, once all texts are in it.
  void commit() { file_.commit(); }

 private:
  /// Calls `action(site, layer)` in the order of the file.
  template <class Action>
  void for_each_tensor(Action&& action) const {
    sites::for_each([&]<class Site>(Site site) {
      for (std::size_t layer = 0; layer < (Site::per_layer ? shape_.layers : 1); ++layer) {
        if (what_.wants(site, layer)) action(site, layer);
      }
    });
  }

  std::vector<typename Writer::item_type> items_of() {
    std::vector<typename Writer::item_type> items;
    std::size_t end = 0;
    for (std::size_t text = 0; text < lengths_.size(); ++text) {
      for_each_tensor([&]<class Site>(Site, std::size_t layer) {
        const auto extents = what_.storage().extents(sites::template index<Site>, shape_, lengths_[text], text);
        std::size_t size = sizeof(float);
        for (const std::size_t extent : extents) size *= extent;
        end += size;
        std::string name = std::to_string(text) + "." + std::string{Site::name};
        if (Site::per_layer) name += "." + std::to_string(layer);
        items.push_back({std::move(name), {extents.begin(), extents.begin() + Site::rank}});
      });
      ends_.push_back(end);
    }
    return items;
  }

  architecture shape_;
  std::vector<std::size_t> lengths_, ends_;  // [text]: tokens; bytes of data up to its end
  capture<Sites...> what_;
  Writer file_;
  std::size_t next_ = 0;
};

}  // namespace optscope

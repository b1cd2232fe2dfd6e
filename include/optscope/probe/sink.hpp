// SPDX-License-Identifier: MIT
#pragma once
// An observer that appends activations to a file while texts pass, and resumes where a killed process was.

#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/sink_plan.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Writes what a `capture` keeps of each text: tensors `TEXT.SITE.LAYER`, `TEXT.SITE` for sites without a layer, text
/// by text. The memory is that of one run, so the texts are run in batches; each batch is of whole texts, in order:
///
///     sink<resumable_safetensors, site::resid_post> file{"out.safetensors", opt.shape(), lengths, {}};
///     while (const std::size_t count = file.next_batch(1 << 28)) {  // about this many bytes
///       const auto first = texts.begin() + file.next_text();
///       opt.run({first, first + count}, file);
///     }
///     file.commit();
///
/// After a kill the same lines resume after the last text that is whole on the disk: `next_text()` is not 0 then.
/// Throws the errors of `Writer`, such as `resumable_safetensors`.
template <class Writer, class... Sites>
class sink {
  static_assert(resumable_writer<Writer, float>,
                "the writer of a sink has item_type, a constructor (path, items, metadata), append(span of const "
                "float), bytes_found(), keep(bytes), sync() and commit()");

 public:
  using sites = site_list<Sites...>;

  /// `lengths`: the tokens of all texts. `metadata` should tell apart what must not be continued in the same file:
  /// models, token ids, positions. Throws `bad_input` as the capture does.
  sink(const std::filesystem::path& path, const architecture& shape, std::vector<std::size_t> lengths,
       capture<Sites...> what, const std::map<std::string, std::string>& metadata = {{"format", "pt"}})
      : plan_{shape, std::move(lengths)}, what_{std::move(what)}, file_{path, items(), metadata} {
    file_.keep(plan_.resume_after(file_.bytes_found()));
  }

  /// The first text that is not in the file.
  [[nodiscard]] std::size_t next_text() const noexcept { return plan_.next_text(); }
  /// How many texts to run next so that about this many bytes are needed, at least one; 0 when all are in the file.
  [[nodiscard]] std::size_t next_batch(std::size_t most_bytes) const { return plan_.next_batch(most_bytes); }

  template <class Site>
  [[nodiscard]] bool wants(Site site, std::size_t layer) const {
    return what_.wants(site, layer);
  }
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return what_.first_wanted(text); }
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site site, const place& at, std::size_t count) const {
    return what_.rows(site, at, count);
  }
  /// Throws `bad_input` if the run is not of the next texts, whole.
  void begin(const run_plan& plan) {
    plan_.check(plan);
    what_.begin(plan);
  }
  template <class Site, class T>
  void operator()(Site site, const place& at, tensor_view<const T, Site::rank> view) {
    what_(site, at, view);
  }
  void end() {
    for (std::size_t text = 0; text < what_.texts(); ++text) {
      plan_.for_each_tensor(what_.storage(), [&](std::size_t site, std::size_t layer) {
        const auto view = what_.storage().one_text(site, layer, text);
        file_.append(std::span<const float>{view.data(), view.size()});
      });
    }
    file_.sync();
    plan_.advance(what_.texts());
  }
  /// Gives the file its name, once all texts are in it.
  void commit() { file_.commit(); }

 private:
  std::vector<typename Writer::item_type> items() {
    std::vector<typename Writer::item_type> all;
    for (const detail::sink_plan::item& each : plan_.items(what_.storage())) {
      all.push_back(typename Writer::item_type{each.name, each.shape, dtype::f32});
    }
    return all;
  }

  detail::sink_plan plan_;
  capture<Sites...> what_;
  Writer file_;
};

}  // namespace optscope

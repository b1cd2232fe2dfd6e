// SPDX-License-Identifier: MIT
#pragma once
// The spectra that tight_pass computes: planning, computing, stopping and going on.

#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <optscope/core/saved_state.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "program.hpp"

namespace spectra {

using namespace optscope;
namespace fs = std::filesystem;

using clock_type = std::chrono::steady_clock;

inline volatile std::sig_atomic_t interrupted = 0;

/// The first Ctrl-C asks to stop, a second one ends the program.
inline void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// Thrown where Ctrl-C was pressed, when what is half done is on the disk.
struct stopped {};

inline const std::map<std::string, std::optional<analyser_choice>> analysers{
    {"automatic", std::nullopt},
    {"exact", analyser_choice::exact},
    {"gram", analyser_choice::gram},
    {"quadrature", analyser_choice::lanczos_quadrature}};

/// What a user chose beside the shared options.
struct choices {
  std::vector<std::string> blocks{"attn", "mlp"};
  std::string text = "0", analyser = "automatic";
  std::string at;  // layer
  std::vector<std::size_t> lengths;
  std::size_t directions = 8;
  double memory_gb = 0;
  automatic_settings analysis;
};

/// One spectrum to be found, and what was found.
struct job {
  std::string block, name;  // "attn", "attn-5-text-3"
  std::size_t layer = 0, text = 0, length = 0;
  analyser_choice picked = analyser_choice::exact;
  std::string reason{};
  double cost = 0;  // operations

  spectrum found{};
  std::vector<std::size_t> active{};                  // MLP: neurons of each token that are not off
  leading_directions writes{}, reads{};               // in hidden space
  std::vector<double> share_written{}, share_read{};  // of each token's output and input, in these directions
  double residual = 0;                                // of the worst vector behind them, if they did not converge
  [[nodiscard]] std::size_t bound(const architecture& shape) const {
    if (active.empty()) return length * (shape.hidden - 1);
    std::size_t sum = 0;
    for (const std::size_t count : active) sum += std::min(count, shape.hidden - 1);
    return sum;
  }
};

class analysis {
 public:
  analysis(const program::app& app, const corpus& input, model<any_opt, double>& opt, const choices& chosen)
      : app_{app}, input_{input}, opt_{opt}, chosen_{chosen} {
    chosen_.analysis.threads = app.threads;
    chosen_.analysis.memory = static_cast<std::size_t>(chosen.memory_gb * 1e9);
    if (chosen_.analysis.memory == 0) chosen_.analysis.memory = available_memory();
  }

  std::vector<job> jobs;

  /// The job of this block, layer, text and length; a new one only if it is not there yet.
  std::size_t add(const std::string& block, std::size_t layer, std::size_t text, std::size_t length,
                  const std::string& suffix = "") {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const job& known = jobs[i];
      if (known.block == block && known.layer == layer && known.text == text && known.length == length) return i;
    }
    job next{block, block + "-" + std::to_string(layer) + suffix, layer, text, length};
    block == "mlp" ? plan<mlp_jacobian>(next) : plan<attention_jacobian>(next);
    jobs.push_back(std::move(next));
    return jobs.size() - 1;
  }

  /// Does all jobs that are not done yet. Throws `stopped` on Ctrl-C, when what is half done is on the disk.
  void run() {
    const fs::path folder = app_.make_folder("state");
    std::size_t largest_state = 0;
    for (const job& each : jobs) largest_state = std::max(largest_state, state_bytes(each));
    if (const auto space = fs::space(folder).available; space < largest_state) {
      throw write_error{folder.string() + ": expected " + memory_text(largest_state) +
                        " free for the state of a run that is stopped, found " + memory_text(space)};
    }
    for (job& each : jobs) {
      if (load(each, ".done", each.found, each.active, each.writes, each.reads, each.share_written, each.share_read,
               each.residual)) {
        each.cost = 0;
      } else {
        total_ += each.cost;
      }
    }
    start_ = clock_type::now();
    program::progress line{"tight_pass:"};
    line_ = &line;
    for (job& each : jobs) {
      if (each.found.size == 0) {
        each.block == "mlp" ? analyse<mlp_jacobian>(each) : analyse<attention_jacobian>(each);
        save(each, ".done", each.found, each.active, each.writes, each.reads, each.share_written, each.share_read,
             each.residual);
        fs::remove(state_file(each, ".part"));
        done_ += each.cost;
      }
      write(each);
    }
    line_ = nullptr;
  }

 private:
  template <template <class> class Jacobian>
  void plan(job& next) const {
    const auto empty = std::make_shared<layer_point<double>>();  // sizes alone
    empty->shape = opt_.shape();
    empty->tokens = next.length;
    const Jacobian<double> op{empty, opt_.backend()};
    const automatic pick{chosen_.analysis};
    const auto chosen = analysers.at(chosen_.analyser);
    next.picked = pick.pick(op).first;
    next.reason = chosen ? "asked for" : pick.pick(op).second;
    if (chosen && !(op.diagonal() && *chosen == analyser_choice::exact)) next.picked = *chosen;
    const double n = static_cast<double>(op.rows()), d = static_cast<double>(op.width());
    switch (next.picked) {
      case analyser_choice::per_token: per_token{chosen_.analysis}.check(op); break;
      case analyser_choice::exact: exact{chosen_.analysis}.check(op); break;
      case analyser_choice::gram: gram{chosen_.analysis}.check(op); break;
      case analyser_choice::lanczos_quadrature: {
        const std::shared_ptr<layer_point<float>> small = std::make_shared<layer_point<float>>();
        small->shape = empty->shape;
        small->tokens = empty->tokens;
        lanczos_quadrature{chosen_.analysis}.check(Jacobian<float>{small, opt_.backend()});
      }
    }
    const bool sampled = next.picked == analyser_choice::lanczos_quadrature;
    const double products = static_cast<double>(chosen_.analysis.steps * chosen_.analysis.probes);
    next.cost = sampled                                     ? products * 16 * n * d
                : next.picked == analyser_choice::per_token ? 3 * n * d * d
                                                            : 3 * n * n * n;
    next.cost += static_cast<double>(chosen_.directions) * 160 * n * d;
  }

  /// On the disk of a run that is stopped.
  [[nodiscard]] std::size_t state_bytes(const job& of) const {
    const std::size_t n = of.length * opt_.shape().hidden;
    std::size_t part = 8 * n * n;
    if (of.picked == analyser_choice::per_token) part = 0;
    if (of.picked == analyser_choice::lanczos_quadrature) {
      part = 8 * (chosen_.analysis.probes + chosen_.analysis.deflate) * n;
    }
    return part + 8 * n + 16 * chosen_.directions * opt_.shape().hidden + 4096;
  }

  template <template <class> class Jacobian>
  void analyse(job& at) {
    const auto step = [&](const analysis_progress& now) {
      show(at, now);
      return interrupted == 0;
    };
    if (at.picked == analyser_choice::lanczos_quadrature) {
      Jacobian<float> op{point<float>(at), opt_.backend()};
      quadrature_state<float> state;
      if (!load(at, ".part", state)) state = {};
      auto saved = clock_type::now();
      quadrature_settings settings = chosen_.analysis;
      settings.progress = [&](const analysis_progress& now) {
        const bool go_on = step(now);
        if (state.steps > 0 && (!go_on || clock_type::now() - saved > std::chrono::minutes{1})) {
          save(at, ".part", state);
          saved = clock_type::now();
        }
        return go_on;
      };
      finish(at, op, lanczos_quadrature{settings}(op, &state));
      find_directions(at, op);
      return;
    }
    {
      Jacobian<double> op{point<double>(at), opt_.backend()};
      band_matrix band;
      if (!load(at, ".part", band)) band = {};
      analysis_settings settings = chosen_.analysis;
      bool saved = false;
      settings.progress = [&](const analysis_progress& now) {
        if (now.stage == "band to values" && !std::exchange(saved, true)) save(at, ".part", band);
        return step(now);
      };
      if (at.picked == analyser_choice::per_token) {
        finish(at, op, per_token{settings}(op));
      } else {
        spectrum found = at.picked == analyser_choice::gram ? gram{settings}(op, &band) : exact{settings}(op, &band);
        if (!band.unreduced.empty()) save(at, ".part", band);
        finish(at, op, std::move(found));
      }
    }
    if (chosen_.directions == 0) return;
    Jacobian<float> op{point<float>(at), opt_.backend()};
    find_directions(at, op);
  }

  template <class Op>
  void finish(job& at, const Op& op, spectrum found) const {
    if (found.outcome == spectrum_outcome::stopped) throw stopped{};
    found.reason = at.reason;
    if (found.outcome != spectrum_outcome::complete) {
      throw error{at.name + ": no spectrum: " + found.note + "; what is done stays in " +
                  (app_.out / "state").string()};
    }
    at.found = std::move(found);
    if constexpr (requires { op.active(0); }) {
      at.active.clear();
      for (std::size_t t = 0; t < op.tokens(); ++t) at.active.push_back(op.active(t));
    }
  }

  template <class Op>
  void find_directions(job& at, Op& op) {
    if (chosen_.directions == 0) return;
    largest_settings settings;
    static_cast<analysis_settings&>(settings) = chosen_.analysis;
    settings.count = std::min(chosen_.directions, op.width() - 1);
    settings.progress = [&](const analysis_progress& now) {
      show(at, {now.stage, 1});
      return interrupted == 0;
    };
    const auto top = largest{settings}(op);
    if (top.outcome == spectrum_outcome::stopped) throw stopped{};
    if (top.lapack_info != 0) throw error{at.name + ": no directions: " + top.note};
    if (top.outcome != spectrum_outcome::complete)
      at.residual = *std::max_element(top.residuals.begin(), top.residuals.end());
    at.writes = hidden_directions(top.left.view(), op.tokens(), settings.count);
    at.reads = hidden_directions(top.right.view(), op.tokens(), settings.count);
    at.block == "mlp" ? find_shares<site::resid_mid, site::mlp_out>(at)
                      : find_shares<site::resid_pre, site::attn_out>(at);
  }

  template <class In, class Out>
  void find_shares(job& at) {
    basic_capture<double, In, Out> kept;
    kept.only_layers({at.layer});
    opt_.run({tokens_of(at)}, kept);
    at.share_read = share_in<double>(at.reads.rows.view(), kept(In{}, at.layer));
    at.share_written = share_in<double>(at.writes.rows.view(), kept(Out{}, at.layer));
  }

  [[nodiscard]] token_list tokens_of(const job& at) const {
    const token_list& whole = input_.tokens[at.text];
    return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at.length)};
  }
  template <class T>
  [[nodiscard]] std::shared_ptr<const layer_point<T>> point(const job& at) {
    if (interrupted != 0) throw stopped{};
    return linearise<T>(opt_, tokens_of(at), at.layer, 1, input_.texts[at.text].file.string())[0];
  }

  /// Everything that a result depends on.
  [[nodiscard]] std::string description(const job& of) const {
    std::ostringstream text;
    text << "block " << of.block << "\nlayer " << of.layer << "\nanalyser " << chosen_.analyser << "\nsteps "
         << chosen_.analysis.steps << ", probes " << chosen_.analysis.probes << ", deflate " << chosen_.analysis.deflate
         << "\ndirections " << chosen_.directions << '\n';
    std::vector<fs::path> files = opt_.files().files();
    files.push_back(app_.model / "config.json");
    for (const fs::path& file : files) {
      text << file.filename().string() << ' ' << fs::file_size(file) << " bytes of "
           << fs::last_write_time(file).time_since_epoch().count() << '\n';
    }
    text << of.length << " tokens:";
    for (const token_id token : tokens_of(of)) text << ' ' << token;
    return text.str();
  }
  [[nodiscard]] fs::path state_file(const job& of, const char* extension) const {
    return app_.out / "state" / (of.name + extension);
  }
  template <class... Content>
  void save(const job& of, const char* extension, const Content&... content) const {
    write_state(state_file(of, extension), description(of), static_cast<int>(of.picked), content...);
  }
  /// A state of another run is not used, and that is said.
  template <class... Content>
  [[nodiscard]] bool load(const job& of, const char* extension, Content&... content) const {
    try {
      int picked = 0;
      if (!read_state(state_file(of, extension), description(of), picked, content...)) return false;
      return extension != std::string{".part"} || picked == static_cast<int>(of.picked);
    } catch (const bad_input& e) {
      std::fprintf(stderr, "tight_pass: %s; computed anew\n", e.what());
      ((content = Content{}), ...);
      return false;
    }
  }

  void show(const job& at, const analysis_progress& now) {
    line_->show([&] {
      const double share = total_ > 0 ? (done_ + at.cost * now.fraction) / total_ : 1;
      const double passed = std::chrono::duration<double>(clock_type::now() - start_).count();
      std::ostringstream text;
      text << static_cast<int>(100 * share) << " %, " << at.name << ", " << now.stage;
      if (share > 0.01 && passed > 1) {
        const auto left = static_cast<long>(passed / share * (1 - share)) + 1;
        text << ", " << (left < 100 ? std::to_string(left) + " s" : std::to_string((left + 59) / 60) + " min")
             << " left";
      }
      return text.str();
    });
  }

  /// `spectrum-NAME.npy`, or of a sampled one `density-NAME.npy`; and a line for the user.
  void write(const job& of) const {
    if (const auto& density = of.found.density) {
      tensor<double, 2> rows{{200, 3}};
      const double top = density->largest(), least = density->resolution_limit();
      for (std::size_t i = 0; i < rows.rows(); ++i) {
        const auto place = static_cast<double>(i) / static_cast<double>(rows.rows());
        const spectral_count count = density->above(top * std::pow(least / top, place));
        rows(i, 0) = count.threshold;
        rows(i, 1) = count.count;
        rows(i, 2) = count.error();
      }
      write_npy(app_.out / ("density-" + of.name + ".npy"), rows);
    } else {
      const auto& values = of.found.values;
      write_npy(app_.out / ("spectrum-" + of.name + ".npy"),
                tensor_view<const double, 1>{values.data(), {values.size()}});
    }
    line_->clear();
    std::cout << of.name << ": " << of.found.size << " values by " << of.found.method << " (" << of.found.reason
              << "), " << plot::gnuplot_number(std::round(10 * of.found.seconds) / 10) << " s\n"
              << std::flush;
  }

  const program::app& app_;
  const corpus& input_;
  model<any_opt, double>& opt_;
  choices chosen_;
  double total_ = 0, done_ = 0;
  clock_type::time_point start_;
  program::progress* line_ = nullptr;
};

}  // namespace spectra

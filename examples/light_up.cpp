// SPDX-License-Identifier: MIT
// Which layers, heads, MLPs and neurons are more or less active for which category of texts.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <map>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/modularity/effects.hpp>
#include <optscope/modularity/saved_sums.hpp>
#include <optscope/modularity/selectivity.hpp>
#include <optscope/modularity/token_controls.hpp>
#include <optscope/modularity/unit_sums.hpp>
#include <optscope/modularity/windows.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/report.hpp>
#include <random>
#include <set>

#include "program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

volatile std::sig_atomic_t interrupted = 0;

using program::corpus;

struct settings {
  unit_statistic by = unit_statistic::mean_abs;
  std::size_t top = 8;              // neurons of each category that are looked at
  std::size_t look_tokens = 20000;  // tokens of each category in which they are
};

/// What a run has found, for the outputs.
struct findings {
  std::string model_name, architecture_text;
  corpus texts;
  text_groups groups;
  unit_sums sums;
  std::vector<std::uint64_t> tokens;  // [category]
  std::map<unit_statistic, unit_effects> effects;
  std::vector<std::string> limits;

  struct looked_at {
    unit what;
    std::size_t category;
    token_controls controls;
    std::vector<std::pair<std::string, std::pair<double, std::string>>> contexts;  // which, value, text
  };
  std::vector<looked_at> neurons;

  [[nodiscard]] double mean(std::size_t c, unit_statistic statistic, std::size_t u) const {
    return sums.sum(c, statistic)[u] / static_cast<double>(groups.texts(c));
  }
  [[nodiscard]] double deviation(std::size_t c, std::size_t u) const {
    const double m = mean(c, unit_statistic::mean, u);
    return std::sqrt(std::max(0.0, sums.mean_squares(c)[u] / static_cast<double>(groups.texts(c)) - m * m));
  }
};

/// Runs all texts through the model, from where a run that was stopped has left off.
template <class Model>
void add_up(Model& opt, const program::app& app, const tokenizer& words, const std::string& run, findings& found) {
  constexpr std::size_t batch_tokens = 8192;
  constexpr auto save_every = std::chrono::seconds{60};
  const fs::path file = app.out / "state";
  const corpus& all = found.texts;
  run_place next = load_sums(file, run, found.sums), in_batch;
  token_batch batch;
  std::vector<text_part> parts;
  std::size_t size = 0;
  auto saved = std::chrono::steady_clock::now();
  program::progress line{"texts"};

  const auto flush = [&] {
    if (!batch.empty()) {
      found.sums.expect(std::move(parts));
      opt.run(batch, found.sums);
    }
    batch.clear();
    parts.clear();
    size = 0;
    next = in_batch;
    line(next.text, all.texts.size());
    const auto now = std::chrono::steady_clock::now();
    if (interrupted != 0 || now - saved > save_every) {
      save_sums(file, run, next, found.sums);
      saved = now;
    }
    if (interrupted != 0) {
      throw error{"stopped after " + std::to_string(next.text) + " of " + std::to_string(all.texts.size()) +
                  " texts; the same command goes on from there"};
    }
  };
  for (std::size_t t = next.text; t < all.texts.size(); ++t) {
    const fs::path& path = all.texts[t].file;
    const token_list tokens = words.encode(program::content_of(path), path.string());
    const std::vector<window> windows = windows_of(tokens, opt.shape().max_positions, words.bos());
    if (windows.empty()) throw bad_input{path.string(), "", "a text", "nothing in it"};
    const std::size_t own = tokens.size() - windows[0].skip;
    for (std::size_t w = t == next.text ? next.window : 0; w < windows.size(); ++w) {
      if (size + windows[w].tokens.size() > batch_tokens) {
        in_batch = {t, w};
        flush();
      }
      const bool last = w + 1 == windows.size();
      const std::size_t c = all.category_of[t];
      parts.push_back({c, found.groups.of(c, all.index_in[t]), own, windows[w].skip, last});
      size += windows[w].tokens.size();
      batch.push_back(windows[w].tokens);
    }
  }
  in_batch = {all.texts.size(), 0};
  flush();
  save_sums(file, run, next, found.sums);  // until the outputs are there
}

/// Tokens around a place, the one in question between brackets.
std::string context(const tokenizer& words, const token_list& tokens, std::size_t at) {
  const std::size_t first = at > 10 ? at - 10 : 0, last = std::min(tokens.size(), at + 5);
  const std::span<const token_id> all{tokens};
  std::string text = words.decode(all.subspan(first, at - first)) + "⟦" + words.piece(tokens[at]) + "⟧" +
                     words.decode(all.subspan(at + 1, last - at - 1));
  std::string shown;
  for (const char c : text) shown += c == '\n' ? std::string{"⏎"} : c == '\t' ? "→" : std::string{c};
  return shown;
}

/// Runs some texts of each category, drawn at random, and looks where the top neurons are high.
template <class Model>
void look(Model& opt, const tokenizer& words, const settings& how, findings& found) {
  const corpus& all = found.texts;
  const unit_effects& effects = found.effects.at(how.by);
  const std::vector<std::size_t> neurons = found.sums.units().all(unit_kind::neuron);
  std::vector<unit> chosen;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    std::vector<double> g;
    for (const std::size_t u : neurons) g.push_back(effects.g(c, u));
    for (const std::size_t i : largest(g, how.top)) {
      if (!(g[i] > 0)) continue;
      chosen.push_back(found.sums.units()[neurons[i]]);
      found.neurons.push_back({chosen.back(), c, {}, {}});
    }
  }
  if (chosen.empty()) return;

  std::mt19937_64 bits{0};
  std::vector<std::size_t> order(all.texts.size()), size(all.categories.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[bits() % i]);
  recorded_tokens at;
  token_batch kept;                                         // the windows
  std::vector<std::pair<std::size_t, std::size_t>> places;  // [recorded token]: window, token in it
  std::vector<std::vector<float>> values(chosen.size());    // [neuron][recorded token]
  for (const std::size_t t : order) {
    const std::size_t c = all.category_of[t];
    if (size[c] >= how.look_tokens) continue;
    const fs::path& path = all.texts[t].file;
    std::vector<window> windows =
        windows_of(words.encode(program::content_of(path), path.string()), opt.shape().max_positions, words.bos());
    const std::size_t fitting = std::max<std::size_t>(1, (how.look_tokens - size[c]) / opt.shape().max_positions);
    windows.resize(std::min(windows.size(), fitting));
    token_batch batch;
    for (const window& w : windows) batch.push_back(w.tokens);
    neuron_record record{chosen};
    opt.run(batch, record);
    for (std::size_t w = 0; w < windows.size(); ++w) {
      for (std::size_t i = windows[w].skip; i < windows[w].tokens.size(); ++i) {
        at.token.push_back(windows[w].tokens[i]);
        at.position.push_back(i);
        at.category.push_back(c);
        places.emplace_back(kept.size() + w, i);
        for (std::size_t n = 0; n < chosen.size(); ++n) {
          values[n].push_back(record.values()(n, record.first_of(w) + i));
        }
      }
      size[c] += windows[w].tokens.size() - windows[w].skip;
    }
    std::move(batch.begin(), batch.end(), std::back_inserter(kept));
  }
  for (std::size_t n = 0; n < chosen.size(); ++n) {
    auto& neuron = found.neurons[n];
    neuron.controls = controls_of(values[n], at, neuron.category);
    const auto show = [&](const char* which, std::size_t i) {
      const auto [w, token] = places[i];
      neuron.contexts.push_back({which, {values[n][i], context(words, kept[w], token)}});
    };
    for (const std::size_t i : highest_places(values[n], at.token, 6)) show("highest", i);
    for (const std::size_t i : highest_places(values[n], at.token, 3, true)) show("lowest", i);
    for (int i = 0; i < 3; ++i) show("random", bits() % at.size());
  }
}

/// What the texts do not allow to say.
void state_limits(findings& found) {
  const corpus& all = found.texts;
  const auto [fewest, most] = std::minmax_element(all.sizes.begin(), all.sizes.end());
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    if (all.sizes[c] == 1) {
      found.limits.push_back("category " + all.categories[c] +
                             " has one text: how its texts differ among themselves is not known, its effects rest on "
                             "the other categories' spread");
    }
  }
  if (*most > 10 * *fewest) {
    found.limits.push_back("the categories have from " + std::to_string(*fewest) + " to " + std::to_string(*most) +
                           " texts: the small ones decide how sure a finding can be");
  }
  if (all.texts.size() == all.categories.size()) {
    found.limits.push_back("one text in every category: no effect size can be given (null)");
  }
  if (found.groups.texts_each() > 1) {
    found.limits.push_back("p is from groups of " + std::to_string(found.groups.texts_each()) +
                           " texts or more, of which the labels are exchanged; effect sizes are from single texts");
  }
  const unit_effects& effects = found.effects.begin()->second;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    if (effects.labellings[c] < 200) {
      found.limits.push_back("only " + std::to_string(effects.labellings[c]) + " assignments of " + all.categories[c] +
                             "'s label: p cannot be below " +
                             std::to_string(1.0 / static_cast<double>(effects.labellings[c])));
    }
  }
  bool spread = false;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    for (const double g : effects.g.row(c)) spread = spread || std::isfinite(g);
  }
  if (!spread && all.texts.size() > all.categories.size()) {
    found.limits.push_back(
        "no unit varies between the texts of a category (identical texts, or no activity): no effect "
        "size can be given (null)");
  }
}

std::string cell(double value) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.6g", value) > 0 ? buffer : "";
}

/// One row a unit: what it does in each category, and the effects by the chosen statistic. An empty cell: not known.
void write_table(const findings& found, const settings& how, const fs::path& path) {
  std::string table = "kind\tlayer\tindex";
  for (const std::string& name : found.texts.categories) {
    for (const char* column : {"frequency", "mean", "mean_abs", "rms", "std", "g", "p", "q"}) {
      table += "\t" + name + "." + column;
    }
  }
  table += '\n';
  output_file file{path};
  file.write(table);
  const unit_effects& effects = found.effects.at(how.by);
  for (std::size_t u = 0; u < found.sums.units().size(); ++u) {
    const unit what = found.sums.units()[u];
    table = std::string{name_of(what.kind)} + "\t" + std::to_string(what.layer) + "\t" + std::to_string(what.index);
    for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
      for (const unit_statistic statistic : all_unit_statistics) table += "\t" + cell(found.mean(c, statistic, u));
      table += "\t" + cell(found.deviation(c, u));
      for (const auto* values : {&effects.g, &effects.p, &effects.q}) table += "\t" + cell((*values)(c, u));
    }
    file.write(table + "\n");
  }
  file.commit();
}

constexpr double finding = 0.05;  // false discovery rate

struct activity {
  std::size_t dead = 0, always_on = 0;
};
/// Neurons of a layer that are never above zero, and those that nearly always are.
activity activity_of(const findings& found, std::size_t layer) {
  activity result;
  const std::size_t first = found.sums.units().first(unit_kind::neuron, layer);
  for (std::size_t i = 0; i < found.sums.units().count(unit_kind::neuron); ++i) {
    double lowest = 1, highest = 0;
    for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
      const double share = found.mean(c, unit_statistic::frequency, first + i);
      lowest = std::min(lowest, share);
      highest = std::max(highest, share);
    }
    result.dead += highest == 0;
    result.always_on += lowest >= 0.99;
  }
  return result;
}

/// The units of a kind with the largest effects in a category.
std::vector<std::size_t> top_units(const findings& found, const settings& how, unit_kind kind, std::size_t category,
                                   std::size_t count) {
  const std::vector<std::size_t> numbers = found.sums.units().all(kind);
  std::vector<double> size;
  for (const std::size_t u : numbers) size.push_back(std::abs(found.effects.at(how.by).g(category, u)));
  std::vector<std::size_t> best;
  for (const std::size_t i : largest(size, count)) {
    if (std::isfinite(size[i])) best.push_back(numbers[i]);
  }
  return best;
}

std::size_t count_findings(const findings& found, const unit_effects& effects, unit_kind kind, std::size_t category) {
  std::size_t count = 0;
  for (const std::size_t u : found.sums.units().all(kind)) count += effects.q(category, u) <= finding;
  return count;
}

void write_summary(const findings& found, const settings& how, const tokenizer& words, const fs::path& path) {
  json_writer json;
  json.begin_object().field("model", found.model_name).field("architecture", found.architecture_text);
  json.field("by", name_of(how.by)).field("false_discovery_rate", finding);
  json.field("texts_a_group", found.groups.texts_each()).key("categories").begin_array();
  for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
    json.begin_object().field("name", found.texts.categories[c]).field("texts", found.texts.sizes[c]);
    json.field("labellings", found.effects.at(how.by).labellings[c]);
    json.field("exact", static_cast<bool>(found.effects.at(how.by).exact[c])).key("findings").begin_object();
    for (const auto& [statistic, effects] : found.effects) {
      json.key(name_of(statistic)).begin_object();
      for (const unit_kind kind : all_unit_kinds) json.field(name_of(kind), count_findings(found, effects, kind, c));
      json.end_object();
    }
    json.end_object().key("top").begin_array();
    for (const unit_kind kind : all_unit_kinds) {
      for (const std::size_t u : top_units(found, how, kind, c, kind == unit_kind::neuron ? 32 : 8)) {
        const unit what = found.sums.units()[u];
        json.begin_object().field("kind", name_of(kind)).field("layer", what.layer).field("index", what.index);
        json.field("g", found.effects.at(how.by).g(c, u)).field("p", found.effects.at(how.by).p(c, u));
        json.field("q", found.effects.at(how.by).q(c, u)).end_object();
      }
    }
    json.end_array().end_object();
  }
  json.end_array().key("neurons").begin_array();
  for (const auto& neuron : found.neurons) {
    json.begin_object().field("layer", neuron.what.layer).field("index", neuron.what.index);
    json.field("category", found.texts.categories[neuron.category]);
    const token_controls& control = neuron.controls;
    json.field("variance_by_token", control.by_token).field("variance_by_position", control.by_position);
    json.field("variance_by_best_token", control.by_best).key("best_token");
    if (control.best < 0) {
      json.value(nullptr);
    } else {
      json.value(words.piece(control.best));
    }
    json.field("mean_at_best_token", control.mean_at_best).field("mean_elsewhere", control.mean_elsewhere);
    json.field("gap_beyond_tokens", control.gap_beyond_tokens).end_object();
  }
  json.end_array().key("by_layer").begin_array();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const activity neurons = activity_of(found, layer);
    json.begin_object().field("layer", layer).field("dead_neurons", neurons.dead);
    json.field("always_on_neurons", neurons.always_on).end_object();
  }
  json.end_array().key("limits").begin_array();
  for (const std::string& limit : found.limits) json.value(limit);
  json.end_array().end_object();
  write_file(path, json.text() + "\n");
}

/// Effect sizes of a kind as a map for each category: (category, layer, unit).
void draw_map(const findings& found, const settings& how, unit_kind kind, const fs::path& stem) {
  const unit_table& units = found.sums.units();
  tensor<float, 3> maps{{found.texts.categories.size(), units.layers(), units.count(kind)}};
  std::vector<float> sizes;
  for (std::size_t c = 0; c < maps.rows(); ++c) {
    for (std::size_t layer = 0; layer < units.layers(); ++layer) {
      for (std::size_t i = 0; i < units.count(kind); ++i) {
        const double g = found.effects.at(how.by).g(c, units.first(kind, layer) + i);
        maps(c, layer, i) = static_cast<float>(g);
        if (std::isfinite(g)) sizes.push_back(static_cast<float>(std::abs(g)));
      }
    }
  }
  plot::heatmap_options options;
  options.title = std::string{kind == unit_kind::head ? "Heads" : "Neurons"} + ": layer (down), index (across)";
  options.value_label = "effect size g of " + std::string{name_of(how.by)};
  options.panel_titles = found.texts.categories;
  options.columns = kind == unit_kind::head ? 0 : 2;
  if (!sizes.empty()) {  // a few extremes must not take all the colours
    const auto high = sizes.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(sizes.size() - 1));
    std::nth_element(sizes.begin(), high, sizes.end());
    options.range = {-std::max(*high, 1e-6f), std::max(*high, 1e-6f)};
  }
  plot::heatmap(maps.view(), options, {stem});
}

std::string name_of_unit(const unit& what) {
  const std::string number =
      what.kind == unit_kind::head || what.kind == unit_kind::neuron ? "." + std::to_string(what.index) : std::string{};
  return std::string{name_of(what.kind)} + " " + std::to_string(what.layer) + number;
}

std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*g", digits, value) > 0 ? buffer : "–";
}

void write_report(const findings& found, const settings& how, const tokenizer& words, const fs::path& folder,
                  bool pictures) {
  const std::vector<std::string>& names = found.texts.categories;
  const unit_effects& effects = found.effects.at(how.by);
  plot::report page{"What lights up", found.model_name};
  std::vector<std::pair<std::string, std::string>> facts{{"architecture", found.architecture_text}};
  for (std::size_t c = 0; c < names.size(); ++c)
    facts.emplace_back(names[c], std::to_string(found.texts.sizes[c]) + " texts");
  facts.emplace_back("compared by", std::string{name_of(how.by)});
  page.facts("Texts", facts);
  if (!found.limits.empty()) page.notes("What these texts do not allow to say", found.limits);

  std::vector<std::string> columns{"kind", "units"};
  for (const std::string& name : names) columns.push_back(name);
  std::vector<std::vector<std::string>> rows;
  for (const unit_kind kind : all_unit_kinds) {
    rows.push_back({std::string{name_of(kind)}, std::to_string(found.sums.units().all(kind).size())});
    for (std::size_t c = 0; c < names.size(); ++c) {
      rows.back().push_back(std::to_string(count_findings(found, effects, kind, c)));
    }
  }
  page.table("Findings at a false discovery rate of 5 %", columns, rows);

  if (pictures) {
    page.picture("Heads",
                 "Effect size of the norm of each head's result: yellow is more active than for the other "
                 "categories, dark less.",
                 folder / "pictures/heads.png");
    page.picture("Neurons", "The same of every MLP neuron.", folder / "pictures/neurons.png");
  }
  std::vector<plot::line_panel> panels;
  for (const unit_kind kind : {unit_kind::layer, unit_kind::attention, unit_kind::mlp}) {
    plot::line_panel panel{std::string{name_of(kind)} + ", norm", {}, {}};
    for (std::size_t c = 0; c < names.size(); ++c) {
      plot::line_series series{names[c], {}, {}, {}, {}, plot::hue(c)};
      for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
        series.x.push_back(static_cast<double>(layer));
        series.y.push_back(effects.g(c, found.sums.units().first(kind, layer)));
      }
      panel.series.push_back(std::move(series));
    }
    panels.push_back(std::move(panel));
  }
  page.chart("Layers and blocks",
             "Effect size of the norms: of the stream behind a layer, of what attention adds, of "
             "what the MLP adds.",
             panels, {"", "layer", "g"});

  rows.clear();
  for (std::size_t c = 0; c < names.size(); ++c) {
    for (const unit_kind kind : {unit_kind::head, unit_kind::neuron}) {
      for (const std::size_t u : top_units(found, how, kind, c, 8)) {
        rows.push_back({names[c], name_of_unit(found.sums.units()[u]), rounded(effects.g(c, u)),
                        rounded(effects.p(c, u)), rounded(effects.q(c, u))});
      }
    }
  }
  page.table("Largest effects", std::vector<std::string>{"category", "unit", "g", "p", "q"}, rows);

  std::vector<std::vector<std::string>> controls;
  rows.clear();
  for (const auto& neuron : found.neurons) {
    const token_controls& control = neuron.controls;
    const std::string name = name_of_unit(neuron.what);
    controls.push_back({names[neuron.category], name, rounded(control.by_token), rounded(control.by_position),
                        control.best < 0 ? "–" : "⟦" + words.piece(control.best) + "⟧", rounded(control.by_best),
                        rounded(control.mean_at_best), rounded(control.mean_elsewhere),
                        rounded(control.gap_beyond_tokens)});
    for (const auto& [which, place] : neuron.contexts) {
      rows.push_back({names[neuron.category], name, which, rounded(place.first), place.second});
    }
  }
  page.table("What else explains the top neurons",
             std::vector<std::string>{"category", "unit", "variance by token", "by position", "best single token",
                                      "variance by it", "mean at it", "mean elsewhere", "gap beyond tokens"},
             controls);
  page.table("Where they are high, low, and at random",
             std::vector<std::string>{"category", "unit", "", "activation", "in its context"}, rows);

  rows.clear();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const activity neurons = activity_of(found, layer);
    rows.push_back({std::to_string(layer), std::to_string(neurons.dead), std::to_string(neurons.always_on)});
  }
  page.table("Neurons that are never, or nearly always, above zero",
             std::vector<std::string>{"layer", "never", "at 99 % of the tokens of every category"}, rows);
  page.notes("How to read it",
             std::vector<std::string>{
                 "A text counts once, however long it is. g: the category's mean minus the other categories' mean, in "
                 "standard deviations of texts within their categories. p: the share of assignments of the category "
                 "labels to texts under which the category stands out as much. q: p adjusted so that of the units with "
                 "q up to 0.05 at most 5 % are false findings, over all categories and units of the kind.",
                 "The first token (BOS) does not count: it is the same in every text. A text that is longer than the "
                 "model's context is cut into windows, each with BOS in front.",
                 "Variance by token: the share of the neuron's variance over tokens that is known once the token is; "
                 "by position: once the position is. Gap beyond tokens: what is left of the difference between the "
                 "category and the rest when each token's mean is taken off. A neuron whose gap is near zero follows "
                 "single tokens that the category has more of."});
  page.write(folder / "report.html");
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "light_up",
      "Finds the layers, heads, MLPs and neurons that are more or less active for a category of texts than "
      "for the others. Writes report.html, units.tsv, pictures/ and summary.json. Ctrl-C stops it; the same "
      "command goes on.",
      "--model examples/demo-model --texts examples/texts --texts examples/verse --out light-up"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  settings how;
  std::map<std::string, unit_statistic> statistics;
  for (const unit_statistic each : all_unit_statistics) statistics[std::string{name_of(each)}] = each;
  std::string by{name_of(how.by)};
  app.cli.add_option("--by", by, "What is compared of a neuron")
      ->check(CLI::IsMember(statistics))
      ->capture_default_str();
  app.cli.add_option("--top", how.top, "Neurons of each category whose tokens are shown")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--look", how.look_tokens, "Tokens of each category in which they are looked for")
      ->check(program::not_positive)
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    how.by = statistics.at(by);
    corpus texts{app.texts};
    const tokenizer words{app.model};
    model<> opt{checkpoint{app.model}, blas{app.threads}};
    app.report(opt);
    app.make_folder("pictures");

    std::string run = "light_up " + fingerprint(opt.files());
    for (const program::text& t : texts.texts) {
      run += "\n" + t.category + " " + t.file.string() + " " + std::to_string(fs::file_size(t.file)) + " " +
             std::to_string(fs::last_write_time(t.file).time_since_epoch().count());
    }
    const text_groups groups{texts.sizes};
    findings found{fs::canonical(app.model).filename().string(),
                   describe(opt.shape()),
                   std::move(texts),
                   groups,
                   unit_sums{opt.shape(), groups, head_norms_of(opt)},
                   {},
                   {},
                   {},
                   {}};

    std::signal(SIGINT, [](int) {
      interrupted = 1;
      std::signal(SIGINT, SIG_DFL);  // the second one ends the program
    });
    add_up(opt, app, words, run, found);
    std::signal(SIGINT, SIG_DFL);
    for (const unit_statistic statistic : all_unit_statistics) {
      found.effects.emplace(statistic, compare_categories(found.sums, found.groups, statistic, opt.backend()));
    }
    state_limits(found);
    look(opt, words, how, found);

    write_table(found, how, app.out / "units.tsv");
    write_summary(found, how, words, app.out / "summary.json");
    std::optional<std::string> no_pictures;
    try {
      draw_map(found, how, unit_kind::head, app.out / "pictures/heads");
      draw_map(found, how, unit_kind::neuron, app.out / "pictures/neurons");
    } catch (const plot::gnuplot_missing& e) {
      no_pictures = e.what();
    }
    write_report(found, how, words, app.out, !no_pictures);
    fs::remove(app.out / "state");
    if (no_pictures) throw error{*no_pictures + "\n  all else is there: " + (app.out / "report.html").string()};
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

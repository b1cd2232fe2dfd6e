// SPDX-License-Identifier: MIT
// Takes out of a model what one category of texts does not need, and shows what the rest then writes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/modularity/isolation.hpp>
#include <optscope/modularity/removal_scores.hpp>
#include <optscope/modularity/unit_sums.hpp>
#include <optscope/modularity/windows.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/report.hpp>
#include <random>
#include <set>

#include "program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

using pruned_model = model<any_opt, float, blas, pruned_weights<float>>;

using score_function = std::vector<double> (*)(const scored_texts&, std::size_t);
template <class Score>
std::vector<double> score_with(const scored_texts& texts, std::size_t kept) {
  return Score{}(texts, kept);
}
/// A score of one's own needs one line here.
const std::map<std::string, score_function> scores{
    {"ratio-frequency", score_with<activation_ratio<unit_statistic::frequency>>},
    {"ratio-mean-abs", score_with<activation_ratio<unit_statistic::mean_abs>>},
    {"ratio-rms", score_with<activation_ratio<unit_statistic::rms>>},
    {"largest-ratio", score_with<largest_ratio<unit_statistic::rms>>},
    {"difference", score_with<mean_difference>}};

const std::map<std::string, replacement> replacements{
    {"zero", replacement::zero}, {"kept-mean", replacement::kept_mean}, {"mean", replacement::mean}};

struct settings {
  std::string keep, by = "ratio-rms", with = "zero", units = "both", keep_layers;
  std::size_t shares = 20, prompts = 16, prompt_tokens = 32, new_tokens = 64, held_back = 512, scoring = 20000;
  std::size_t written = 0;
  double most = 0.6;  // of the units
  double share = 0;   // to remove without a search
};

/// The texts, halved: what scores and judge are made from, and what is measured.
struct halves {
  std::vector<std::string> categories;
  std::vector<std::size_t> texts;                  // [category]
  std::vector<std::vector<token_list>> scoring;    // [category][text]
  std::vector<std::vector<std::string>> training;  // [category][text]: the same as they stand in the files
  std::vector<std::vector<token_list>> measured;   // [category][text]
  std::vector<std::string> limits;
};

/// Every second text of a category is measured; of a single one the second half is.
halves read_halves(const program::app& app, const tokenizer& words, const settings& how) {
  const program::corpus all{app.texts};
  halves result;
  result.categories = all.categories;
  result.texts = all.sizes;
  const std::size_t count = all.categories.size();
  result.scoring.resize(count);
  result.training.resize(count);
  result.measured.resize(count);
  std::vector<std::size_t> taken(count), kept_bytes(count);
  constexpr std::size_t most_bytes = 400000;
  for (std::size_t t = 0; t < all.texts.size(); ++t) {
    const std::size_t c = all.category_of[t];
    const fs::path& path = all.texts[t].file;
    const std::string content = program::content_of(path);
    const bool single = all.sizes[c] == 1, measured = all.index_in[t] % 2 == 1;
    if (!single &&
        (measured ? result.measured[c].size() > 200 : taken[c] >= how.scoring && kept_bytes[c] > most_bytes)) {
      continue;
    }
    token_list tokens = words.encode(content, path.string());
    if (tokens.size() < 8)
      throw bad_input{path.string(), "", "a text of at least 8 tokens", std::to_string(tokens.size())};
    if (single) {
      const auto middle = tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() / 2);
      token_list second(middle, tokens.end());
      if (words.adds_bos()) second.insert(second.begin(), *words.bos());
      tokens.erase(middle, tokens.end());
      result.measured[c].push_back(std::move(second));
    }
    if (!single && measured) {
      result.measured[c].push_back(std::move(tokens));
      continue;
    }
    if (kept_bytes[c] <= most_bytes) {
      result.training[c].push_back(single ? words.decode(tokens) : content);
      kept_bytes[c] += content.size();
    }
    if (taken[c] >= how.scoring) continue;
    if (tokens.size() > how.scoring - taken[c] + 1) tokens.resize(how.scoring - taken[c] + 1);
    taken[c] += tokens.size() - 1;
    result.scoring[c].push_back(std::move(tokens));
  }
  for (std::size_t c = 0; c < count; ++c) {
    if (all.sizes[c] == 1) {
      result.limits.push_back("category " + all.categories[c] +
                              " has one text: scores and measurements are of its halves");
    }
    if (taken[c] < 500) {
      result.limits.push_back("category " + all.categories[c] + " has " + std::to_string(taken[c]) +
                              " tokens to compute scores from: few");
    }
  }
  return result;
}

bool ends_in_space(const tokenizer& words, token_id id) {
  const std::string piece = words.piece(id);
  return piece.empty() || piece.back() == ' ' || piece.back() == '\n' || piece.back() == '\t' || piece.back() == '\r';
}

/// Prompts from texts: pieces at random places, BOS first, none ending in white space. `skip` leaves out the first
/// draws, so that two calls give different ones.
labelled_texts draw_prompts(const std::vector<std::vector<token_list>>& texts, const tokenizer& words, std::size_t each,
                            std::size_t length, std::uint64_t seed) {
  labelled_texts result;
  std::mt19937_64 bits{seed};
  for (std::size_t c = 0; c < texts.size(); ++c) {
    for (std::size_t i = 0; i < each; ++i) {
      const token_list& text = texts[c][bits() % texts[c].size()];
      const std::size_t skip = words.adds_bos() ? 1 : 0, own = text.size() - skip, size = std::min(length, own);
      const auto begin = text.begin() + static_cast<std::ptrdiff_t>(skip + bits() % (own - size + 1));
      token_list prompt(begin, begin + static_cast<std::ptrdiff_t>(size));
      while (prompt.size() > 1 && ends_in_space(words, prompt.back())) prompt.pop_back();
      if (words.adds_bos()) prompt.insert(prompt.begin(), *words.bos());
      result.add(std::move(prompt), c);
    }
  }
  return result;
}

/// Adds what the model itself writes from the scoring texts' prompts to them.
void write_more(pruned_model& opt, halves& texts, const tokenizer& words, const settings& how) {
  constexpr std::size_t length = 128;
  const std::size_t each = (how.written + length - 1) / length;
  const labelled_texts prompts = draw_prompts(texts.scoring, words, each, how.prompt_tokens, 3);
  const token_batch more = continuations(opt, prompts.tokens, length, {0.8, 0, 0.9, 1000}, words.size(), {});
  for (std::size_t i = 0; i < more.size(); ++i) {
    token_list text = prompts.tokens[i];
    text.insert(text.end(), more[i].begin(), more[i].end());
    texts.scoring[prompts.category[i]].push_back(std::move(text));
  }
}

/// Sums of activity over scoring texts, of all or of every second window.
struct activity {
  text_groups groups;
  unit_sums sums;
};
activity sum_up(pruned_model& opt, const std::vector<std::vector<token_list>>& texts, std::optional<token_id> bos,
                std::size_t begin = 0, std::size_t step = 1) {
  constexpr std::size_t length = 256;
  std::vector<std::vector<window>> windows(texts.size());
  std::vector<std::size_t> sizes;
  for (std::size_t c = 0; c < texts.size(); ++c) {
    std::vector<window> all;
    for (const token_list& text : texts[c]) {
      auto more = windows_of(text, std::min(length, opt.shape().max_positions), bos);
      std::move(more.begin(), more.end(), std::back_inserter(all));
    }
    for (std::size_t i = begin < all.size() ? begin : 0; i < all.size(); i += step) windows[c].push_back(all[i]);
    sizes.push_back(windows[c].size());
  }
  std::vector<head_norms> norms;
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    const stored_tensor& out = opt.files().at("decoder.layers." + std::to_string(layer) + ".self_attn.out_proj.weight");
    tensor<double, 2> weight{{out.rows(), out.row_size()}};
    out.copy_to(weight.data());
    norms.emplace_back(tensor_view<const double, 2>{weight.view()}, opt.shape().heads);
  }
  const text_groups groups{sizes};
  activity result{groups, unit_sums{opt.shape(), groups, std::move(norms)}};
  for (std::size_t c = 0; c < windows.size(); ++c) {
    for (std::size_t first = 0; first < windows[c].size(); first += 32) {
      token_batch batch;
      std::vector<text_part> parts;
      for (std::size_t i = first; i < std::min(first + 32, windows[c].size()); ++i) {
        const window& w = windows[c][i];
        batch.push_back(w.tokens);
        parts.push_back({c, groups.of(c, i), w.tokens.size() - w.skip, w.skip, true});
      }
      result.sums.expect(std::move(parts));
      opt.run(batch, result.sums);
    }
  }
  return result;
}

struct curve {
  std::vector<double> share;          // of the units
  std::vector<behaviour> behaviours;  // without what was written
};

/// A row of "where it sits".
struct row {
  std::string what;
  std::size_t removed;
  behaviour found;
};

/// Everything that is found for one kept category.
struct isolated {
  curve by_score, random, reversed;
  std::size_t chosen = 0;  // units
  bool reached = false;    // 95 % of the foreign prompts on the curve
  std::vector<std::size_t> numbers;
  removal what;
  behaviour final;  // on other prompts
};

std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*f", digits, value) > 0 ? buffer : "–";
}
std::string percent(double share) { return rounded(100 * share, 0) + " %"; }
std::string percent_of(std::size_t hits, std::size_t count) {
  const auto [low, high] = wilson(hits, count);
  return percent(count == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(count)) + " (" +
         rounded(100 * low, 0) + "–" + rounded(100 * high, 0) + ")";
}

/// What was found, in one sentence.
std::string verdict(const std::vector<row>& rows, std::size_t kept, std::size_t layers, const std::string& name,
                    bool reached) {
  const auto share = [&](const std::string& what) {
    for (const row& each : rows) {
      if (each.what == what) return each.found.turned_share(kept);
    }
    return 0.0;
  };
  const double whole = share("the removal");
  if (!reached && whole < 0.5)
    return "These units do not hold it: taking them out turns few prompts into " + name + ".";
  double shift = 0, cost = 0, own = 0;
  for (const row& each : rows) {
    if (each.what.find("times 1") != std::string::npos) {
      shift = each.found.turned_share(kept);
      cost = each.found.loss[kept] - rows[0].found.loss[kept];
    }
    if (each.what == "the removal") own = each.found.loss[kept] - rows[0].found.loss[kept];
  }
  const auto at_its_cost = [&](const std::string& what) {  // what costs the kept category more explains nothing
    for (const row& each : rows) {
      if (each.what == what && each.found.loss[kept] - rows[0].found.loss[kept] <= own + 0.1) return share(what);
    }
    return 0.0;
  };
  const double first =
      std::max(at_its_cost("half of layer 0 alone"), at_its_cost("its part in the first half of the layers"));
  const double second = share("its part in the second half of the layers");
  if (shift >= 0.8 * whole && cost <= own + 0.1) {
    return "A shift of the output: the change of the mean logits, added by hand, does the same at no higher cost.";
  }
  if (first >= 0.7 * whole && second < 0.5 * whole) {
    return "Sight of the input: the first layers alone do most of it and the later ones little; a prompt of another "
           "kind "
           "is not turned into " +
           name + ", it is not seen.";
  }
  return "Something between sight of the input and shift of the output: no part of the " + std::to_string(layers) +
         " layers does it alone, and the shift of the mean logits does not either.";
}

/// One run of the program.
struct study {
  const settings& how;
  const tokenizer& words;
  pruned_model& opt;
  const halves& texts;
  const activity& active;
  scored_texts scored;
  isolation<pruned_model>& bench;
  const labelled_texts& final_prompts;  // as many again, of which nothing is chosen
  std::vector<std::size_t> layers;
  std::vector<unit_kind> kinds;
  behaviour whole;                // the whole model on them
  std::vector<isolated> kept_of;  // [category]
  std::vector<row> rows;
  double stability = 0;  // overlap of the sets that the two halves of the scoring texts give

  /// The units that may go, in the order of going.
  std::vector<std::size_t> order(std::size_t kept, removal_order by, const scored_texts& from,
                                 const std::vector<std::size_t>& of_layers, std::uint64_t seed = 0) const {
    const std::vector<double> score = scores.at(how.by)(from, kept);
    std::vector<std::size_t> numbers;
    for (const unit_kind kind : kinds) {
      const auto more = order_of_removal(score, scored.sums.units(), kind, of_layers, by, seed);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    if (kinds.size() > 1) {  // a third of the neurons' share of the heads: a head is much more than a neuron
      const std::size_t first = numbers.size() == 0 ? 0 : of_layers.size() * scored.sums.units().count(kinds[0]);
      std::vector<std::pair<double, std::size_t>> ranked;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const double of = static_cast<double>(i < first ? first : numbers.size() - first);
        ranked.emplace_back((i < first ? 1.0 : 3.0) * static_cast<double>(i < first ? i : i - first) / of, numbers[i]);
      }
      std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = ranked[i].second;
    }
    return numbers;
  }
  std::vector<std::size_t> order(std::size_t kept, removal_order by = removal_order::by_score,
                                 std::uint64_t seed = 0) const {
    return order(kept, by, scored, layers, seed);
  }
  removal remove(std::span<const std::size_t> numbers, std::size_t kept) const {
    return removal_of(numbers, scored, kept, replacements.at(how.with));
  }
  std::size_t units() const { return order(0).size(); }

  curve follow(std::size_t kept, removal_order by, program::progress& line, std::size_t& done, std::size_t all) {
    curve result;
    const std::size_t count = units();
    for (std::size_t i = 1; i <= how.shares; ++i) {
      const double share = how.most * static_cast<double>(i) / static_cast<double>(how.shares);
      const std::vector<std::size_t> numbers = order(kept, by, i);  // by chance: drawn anew for each share
      const auto n = static_cast<std::size_t>(std::llround(share * static_cast<double>(count)));
      result.share.push_back(share);
      result.behaviours.push_back(
          bench.measure(remove(std::span{numbers}.first(std::min(n, numbers.size())), kept), kept));
      result.behaviours.back().written.clear();
      line(++done, all);
    }
    return result;
  }

  /// The smallest removal that turns 95 % of the foreign prompts, between two points of the curve by bisection; where
  /// none does, the one that turns most.
  void choose(isolated& found, std::size_t kept) {
    const std::vector<std::size_t> numbers = order(kept);
    const auto size = [&](double share) {
      return std::min(numbers.size(),
                      static_cast<std::size_t>(std::llround(share * static_cast<double>(numbers.size()))));
    };
    std::size_t best = 0, low = 0;
    for (std::size_t i = 0; i < found.by_score.share.size(); ++i) {
      const double turned = found.by_score.behaviours[i].turned_share(kept);
      if (turned > found.by_score.behaviours[best].turned_share(kept)) best = i;
      if (turned < 0.95) continue;
      found.reached = true;
      best = i;
      low = i == 0 ? 0 : size(found.by_score.share[i - 1]);
      break;
    }
    std::size_t high = size(found.by_score.share[best]);
    for (int step = 0; found.reached && step < 4 && high - low > 1; ++step) {
      const std::size_t middle = (low + high) / 2;
      const behaviour there = bench.measure_prompts(remove(std::span{numbers}.first(middle), kept), bench.prompts);
      (there.turned_share(kept) >= 0.95 ? high : low) = middle;
    }
    take(found, kept, static_cast<double>(high) / static_cast<double>(numbers.size()));
  }
  void take(isolated& found, std::size_t kept, double share) const {
    found.numbers = order(kept);
    found.chosen = static_cast<std::size_t>(std::llround(share * static_cast<double>(found.numbers.size())));
    found.numbers.resize(found.chosen);
    found.what = remove(found.numbers, kept);
  }

  /// Mean logits over scoring texts of the other categories with the removal minus without: (vocabulary).
  std::vector<float> shift_of(const removal& what, std::size_t kept) {
    struct mean_logits {
      using sites = site_list<site::logits>;
      std::vector<double> sum;
      double count = 0;
      void operator()(site::logits, const place&, tensor_view<const float, 2> rows) {
        sum.resize(rows.cols());
        for (std::size_t i = 0; i < rows.rows(); ++i) {
          for (std::size_t id = 0; id < sum.size(); ++id) sum[id] += static_cast<double>(rows(i, id));
        }
        count += static_cast<double>(rows.rows());
      }
    };
    token_batch batch;
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      if (c == kept) continue;
      token_list first = texts.scoring[c][0];
      first.resize(std::min<std::size_t>(first.size(), 256));
      batch.push_back(std::move(first));
    }
    mean_logits with, without;
    opt.weights().remove({}, opt.backend().pool());
    opt.run(batch, without);
    opt.weights().remove(what, opt.backend().pool());
    opt.run(batch, with);
    std::vector<float> shift;
    for (std::size_t id = 0; id < with.sum.size(); ++id) {
      shift.push_back(static_cast<float>(with.sum[id] / with.count - without.sum[id] / without.count));
    }
    return shift;
  }

  /// Where the effect of a removal sits.
  std::vector<row> locate(const isolated& found, std::size_t kept, program::progress& line) {
    std::vector<row> found_rows;
    const std::size_t all = 2 * opt.layers() + 10;
    const auto add = [&](std::string what, const std::vector<std::size_t>& numbers) {
      found_rows.push_back({std::move(what), numbers.size(), bench.measure(remove(numbers, kept))});
      found_rows.back().found.written.clear();
      line(found_rows.size(), all);
    };
    const auto where = [&](auto in_layer) {
      std::vector<std::size_t> some;
      for (const std::size_t u : found.numbers) {
        if (in_layer(scored.sums.units()[u].layer)) some.push_back(u);
      }
      return some;
    };
    add("nothing", {});
    add("the removal", found.numbers);
    for (const std::size_t layer : layers) {
      std::vector<std::size_t> numbers = order(kept, removal_order::by_score, scored, {layer});
      numbers.resize(numbers.size() / 2);
      add("half of layer " + std::to_string(layer) + " alone", numbers);
    }
    for (const std::size_t layer : layers) {
      add("the removal without layer " + std::to_string(layer), where([&](std::size_t l) { return l != layer; }));
    }
    add("its part in the first half of the layers", where([&](std::size_t l) { return l < opt.layers() / 2; }));
    add("its part in the second half of the layers", where([&](std::size_t l) { return l >= opt.layers() / 2; }));
    for (const auto& [name, by] : {std::pair{"as many, by chance", removal_order::random},
                                   std::pair{"as many, by the reversed score", removal_order::reversed}}) {
      std::vector<std::size_t> numbers = order(kept, by, 77);
      numbers.resize(found.chosen);
      add(name, numbers);
    }
    {
      std::vector<std::size_t> numbers = order(kept, removal_order::reversed);
      numbers.resize(numbers.size() / 5);
      add("the other way: the fifth of highest activity in the kept category", numbers);
    }
    const std::vector<float> shift = shift_of(found.what, kept);
    for (const float times : {1.0f, 2.0f}) {
      logit_shift scaled{shift};
      for (float& each : scaled.by) each *= times;
      behaviour b = bench.measure_edited(scaled);
      b.written.clear();
      found_rows.push_back(
          {"nothing, the change of the mean logits added by hand, times " + rounded(times, 0), 0, std::move(b)});
      line(found_rows.size(), all);
    }
    labelled_texts alone;
    const token_id bos = words.bos().value_or(texts.scoring[0][0][0]);
    for (std::size_t i = 0; i < 2 * how.prompts; ++i) alone.add({bos}, kept == 0 ? 1 : 0);
    for (const bool removed : {false, true}) {
      behaviour b = bench.measure_prompts(removed ? found.what : removal{}, alone);
      b.written.clear();
      found_rows.push_back({removed ? "the removal, BOS alone as prompt" : "nothing, BOS alone as prompt",
                            removed ? found.chosen : 0, std::move(b)});
    }
    return found_rows;
  }

  void run(std::size_t kept) {
    const std::size_t categories = texts.categories.size();
    const labelled_texts choosing = std::exchange(bench.prompts, final_prompts);
    whole = bench.measure({});
    bench.prompts = choosing;
    program::progress line{"removals"};
    std::size_t done = 0;
    const std::size_t all = 3 * categories * how.shares;
    for (std::size_t c = 0; c < categories; ++c) {
      isolated& found = kept_of.emplace_back();
      if (how.share > 0) {
        take(found, c, how.share);
        bench.prompts = final_prompts;
        found.final = bench.measure(found.what);
        continue;
      }
      found.by_score = follow(c, removal_order::by_score, line, done, all);
      found.random = follow(c, removal_order::random, line, done, all);
      found.reversed = follow(c, removal_order::reversed, line, done, all);
      choose(found, c);
      bench.prompts = final_prompts;
      found.final = bench.measure(found.what);
      bench.prompts = choosing;
    }
    opt.weights().remove({}, opt.backend().pool());
    std::vector<std::vector<std::size_t>> sets;
    for (const std::size_t half : {0, 1}) {
      const activity part = sum_up(opt, texts.scoring, words.bos(), half, 2);
      sets.push_back(order(kept, removal_order::by_score, {part.sums, part.groups}, layers));
      sets.back().resize(kept_of[kept].chosen);
    }
    stability = overlap(sets[0], sets[1]);
    if (how.share > 0) return;
    program::progress places{"where it sits"};
    rows = locate(kept_of[kept], kept, places);
  }

  void write(const program::app& app, std::size_t kept) {
    const isolated& found = kept_of[kept];
    const std::string model = fingerprint(opt.files());
    const std::string about =
        std::to_string(found.chosen) + " units out, to keep " + texts.categories[kept] + ", by " + how.by;
    write_removal(app.out / "edits.json", found.what, model, about);
    write_pruned(opt.files(), opt.shape(), found.what, app.out / "model");
    write_summary(app.out / "summary.json", kept);
    write_scores(app.out / "scores.tsv", kept);
    write_continuations(app.out / "continuations.json", kept);
    const std::optional<std::string> no_pictures = draw(app.out / "pictures", kept);
    write_report(app.out, kept, !no_pictures);
    if (no_pictures) throw error{*no_pictures + "\n  all else is there: " + (app.out / "report.html").string()};
  }

 private:
  void describe(json_writer& json, const behaviour& b) const {
    const auto list = [&](const char* name, const auto& values) {
      json.key(name).begin_array();
      for (const auto value : values) json.value(value);
      json.end_array();
    };
    json.begin_object();
    list("loss", b.loss);
    json.key("judged").begin_array();
    for (const auto& row_of : b.judged) {
      json.begin_array();
      for (const std::size_t count : row_of) json.value(count);
      json.end_array();
    }
    json.end_array();
    list("code_like", b.code_like);
    json.end_object();
  }

  void write_summary(const fs::path& path, std::size_t kept) const {
    json_writer json;
    json.begin_object().field("model", opt.files().folder().filename().string()).field("keep", texts.categories[kept]);
    json.field("by", how.by).field("replace", how.with).field("units", how.units).key("categories").begin_array();
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      json.begin_object().field("name", texts.categories[c]).field("texts", texts.texts[c]);
      json.field("scoring_tokens", tokens_of(c)).end_object();
    }
    json.end_array().field("units_in_all", units()).field("overlap_of_halves", stability).key("nothing_removed");
    describe(json, whole);
    json.key("kept").begin_array();
    for (std::size_t c = 0; c < kept_of.size(); ++c) {
      const isolated& each = kept_of[c];
      json.begin_object().field("category", texts.categories[c]).field("removed", each.chosen);
      json.field("reached_95_percent", each.reached).key("behaviour");
      describe(json, each.final);
      for (const auto& [name, points] : {std::pair{"by_score", &each.by_score}, std::pair{"random", &each.random},
                                         std::pair{"reversed", &each.reversed}}) {
        json.key(name).begin_array();
        for (std::size_t i = 0; i < points->share.size(); ++i) {
          json.begin_object().field("share", points->share[i]).key("behaviour");
          describe(json, points->behaviours[i]);
          json.end_object();
        }
        json.end_array();
      }
      json.end_object();
    }
    json.end_array().key("where_it_sits").begin_array();
    for (const row& each : rows) {
      json.begin_object().field("what", each.what).field("removed", each.removed).key("behaviour");
      describe(json, each.found);
      json.end_object();
    }
    json.end_array().field(
        "verdict", rows.empty() ? std::string{}
                                : verdict(rows, kept, opt.layers(), texts.categories[kept], kept_of[kept].reached));
    json.key("limits").begin_array();
    for (const std::string& limit : texts.limits) json.value(limit);
    json.end_array().end_object();
    write_file(path, json.text() + "\n");
  }

  void write_scores(const fs::path& path, std::size_t kept) const {
    const std::vector<double> score = scores.at(how.by)(scored, kept);
    const std::set<std::size_t> gone(kept_of[kept].numbers.begin(), kept_of[kept].numbers.end());
    std::string table = "kind\tlayer\tindex\tscore\tremoved\n";
    for (const std::size_t u : order(kept)) {
      const unit what = scored.sums.units()[u];
      table += std::string{name_of(what.kind)} + "\t" + std::to_string(what.layer) + "\t" + std::to_string(what.index) +
               "\t" + (std::isfinite(score[u]) ? rounded(score[u], 6) : "") + "\t" + (gone.count(u) != 0 ? "1" : "0") +
               "\n";
    }
    write_file(path, table);
  }

  void write_continuations(const fs::path& path, std::size_t kept) const {
    json_writer json;
    json.begin_array();
    for (std::size_t i = 0; i < final_prompts.tokens.size(); ++i) {
      const std::string& before = whole.written[i];
      const std::string& after = kept_of[kept].final.written[i];
      json.begin_object().field("category", texts.categories[final_prompts.category[i]]);
      json.field("prompt", words.decode(final_prompts.tokens[i])).field("before", before);
      json.field("after", after).field("after_is", texts.categories[bench.decide(after)]).end_object();
    }
    json.end_array();
    write_file(path, json.text() + "\n");
  }

  [[nodiscard]] std::size_t tokens_of(std::size_t category) const {
    std::size_t count = 0;
    for (const token_list& text : texts.scoring[category]) count += text.size() - (words.adds_bos() ? 1 : 0);
    return count;
  }

  /// Share turned and loss over the share removed.
  std::vector<plot::line_panel> panels(std::size_t kept) const {
    const isolated& found = kept_of[kept];
    plot::line_panel turned{
        "continued as " + texts.categories[kept] + ", of the other prompts", {}, std::pair{0.0, 1.0}};
    plot::line_panel loss{"held-back loss, removed by score", {}, {}};
    std::size_t colour = 0;
    for (const auto& [name, points] : {std::pair{"by score", &found.by_score}, std::pair{"by chance", &found.random},
                                       std::pair{"reversed", &found.reversed}}) {
      plot::line_series series{name, {0}, {whole.turned_share(kept)}, {}, {}, plot::hue(colour++)};
      const auto [first_low, first_high] = wilson(whole.turned(kept).first, whole.turned(kept).second);
      series.low = {first_low};
      series.high = {first_high};
      for (std::size_t i = 0; i < points->share.size(); ++i) {
        const auto [hits, count] = points->behaviours[i].turned(kept);
        const auto [low, high] = wilson(hits, count);
        series.x.push_back(points->share[i]);
        series.y.push_back(points->behaviours[i].turned_share(kept));
        series.low.push_back(low);
        series.high.push_back(high);
      }
      turned.series.push_back(std::move(series));
    }
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      plot::line_series series{texts.categories[c], {0}, {whole.loss[c]}, {}, {}, plot::hue(3 + c)};
      for (std::size_t i = 0; i < found.by_score.share.size(); ++i) {
        series.x.push_back(found.by_score.share[i]);
        series.y.push_back(found.by_score.behaviours[i].loss[c]);
      }
      loss.series.push_back(std::move(series));
    }
    return {turned, loss};
  }

  std::optional<std::string> draw(const fs::path& folder, std::size_t kept) const {
    try {
      if (!kept_of[kept].by_score.share.empty()) {
        const auto both = panels(kept);
        plot::lines(both, {"Keeping " + texts.categories[kept], "share of the units removed", "share; nats a token"},
                    {folder / "curve"});
      }
      tensor<float, 2> matrix{{kept_of.size(), kept_of.size()}};
      for (std::size_t k = 0; k < kept_of.size(); ++k) {
        for (std::size_t c = 0; c < kept_of.size(); ++c) {
          matrix(k, c) = static_cast<float>(kept_of[k].final.judged[c][k]) /
                         static_cast<float>(std::max<std::size_t>(1, kept_of[k].final.prompts(c)));
        }
      }
      plot::heatmap_options options;
      options.title = "Kept (down), prompt (across)";
      options.value_label = "continued as the kept category";
      for (const std::string& name : texts.categories) options.groups.push_back({name, 1});
      options.range = {0, 1};
      plot::heatmap(matrix.view(), options, {folder / "matrix"});
    } catch (const plot::gnuplot_missing& e) {
      return e.what();
    }
    return std::nullopt;
  }

  void write_report(const fs::path& folder, std::size_t kept, bool pictures) const {
    const std::vector<std::string>& names = texts.categories;
    const isolated& found = kept_of[kept];
    plot::report page{"Only " + names[kept], opt.files().folder().filename().string()};
    const auto [hits, count] = found.final.turned(kept);
    const auto [hits_before, count_before] = whole.turned(kept);
    page.facts("What was found",
               std::vector<std::pair<std::string, std::string>>{
                   {"removed", std::to_string(found.chosen) + " of " + std::to_string(units()) + " " + how.units},
                   {"other prompts continued as " + names[kept], percent_of(hits, count)},
                   {"before", percent_of(hits_before, count_before)},
                   {"loss of " + names[kept], rounded(whole.loss[kept]) + " → " + rounded(found.final.loss[kept])},
                   {"overlap of the sets of two halves of the scoring texts", rounded(stability, 2)},
                   {"score", how.by},
                   {"in their place", how.with}});
    if (!rows.empty())
      page.notes("Verdict", std::vector<std::string>{verdict(rows, kept, opt.layers(), names[kept], found.reached)});
    if (!texts.limits.empty()) page.notes("What these texts do not allow to say", texts.limits);
    if (!found.by_score.share.empty())
      page.chart("Curves", "Bands are 95 % intervals of the share (Wilson). By chance: drawn anew for every point.",
                 panels(kept), {"", "share of the units removed", ""});

    std::vector<std::string> columns{"kept", "removed", "loss of it"};
    for (const std::string& name : names) columns.push_back("prompts: " + name);
    std::vector<std::vector<std::string>> cells;
    for (std::size_t k = 0; k < kept_of.size(); ++k) {
      const behaviour& b = kept_of[k].final;
      cells.push_back({names[k], percent(static_cast<double>(kept_of[k].chosen) / static_cast<double>(units())),
                       rounded(whole.loss[k]) + " → " + rounded(b.loss[k])});
      for (std::size_t c = 0; c < names.size(); ++c) cells.back().push_back(percent_of(b.judged[c][k], b.prompts(c)));
    }
    page.table("Continued as the kept category, all categories in turn", columns, cells);
    if (pictures) page.picture("The matrix", "", folder / "pictures/matrix.png");

    columns = {"what is removed", "units"};
    for (const std::string& name : names) columns.push_back("loss of " + name);
    for (std::size_t c = 0; c < names.size(); ++c) {
      if (c != kept) columns.push_back(names[c] + " continued as " + names[kept]);
    }
    cells.clear();
    for (const row& each : rows) {
      cells.push_back({each.what, std::to_string(each.removed)});
      for (std::size_t c = 0; c < names.size(); ++c) {
        cells.back().push_back(each.found.loss.empty() ? "–" : rounded(each.found.loss[c]));
      }
      for (std::size_t c = 0; c < names.size(); ++c) {
        if (c == kept) continue;
        const std::size_t prompts = each.found.prompts(c);
        cells.back().push_back(prompts == 0 ? "–" : percent_of(each.found.judged[c][kept], prompts));
      }
    }
    if (!rows.empty()) page.table("Where it sits", columns, cells);
    plot::line_panel where{"", {}, std::pair{0.0, 1.0}};
    for (const unit_kind kind : kinds) {
      plot::line_series series{std::string{name_of(kind)} + "s", {}, {}, {}, {}, plot::hue(where.series.size())};
      for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
        const layer_removal& gone = found.what.layers[layer];
        const std::size_t removed = kind == unit_kind::head ? gone.heads.size() : gone.neurons.size();
        series.x.push_back(static_cast<double>(layer));
        series.y.push_back(static_cast<double>(removed) / static_cast<double>(scored.sums.units().count(kind)));
      }
      where.series.push_back(std::move(series));
    }
    page.chart("The removed parts by layer", "", std::vector<plot::line_panel>{where}, {"", "layer", "share removed"});

    cells.clear();
    std::vector<std::size_t> shown(names.size());
    for (std::size_t i = 0; i < final_prompts.tokens.size(); ++i) {
      if (shown[final_prompts.category[i]]++ >= 4) continue;
      cells.push_back({names[final_prompts.category[i]], words.decode(final_prompts.tokens[i]), whole.written[i],
                       found.final.written[i], names[bench.decide(found.final.written[i])]});
    }
    page.table("Continuations side by side",
               std::vector<std::string>{"prompt of", "prompt", "whole model", "what is left", "judged"}, cells);

    cells.clear();
    columns = {"text"};
    for (const std::string& name : names) columns.push_back("judged " + name);
    for (std::size_t c = 0; c < names.size(); ++c) {
      std::vector<std::size_t> judged(names.size());
      std::size_t pieces = 0;
      const auto length = static_cast<std::ptrdiff_t>(how.new_tokens);
      for (const token_list& text : texts.measured[c]) {
        for (auto at = text.begin() + 1; text.end() - at >= length && pieces < 200; at += length, ++pieces) {
          ++judged[bench.decide(words.decode(token_list(at, at + length)))];
        }
      }
      cells.push_back({names[c]});
      for (const std::size_t each : judged) cells.back().push_back(percent_of(each, pieces));
    }
    page.table("The judge on held-back texts, pieces as long as the continuations", columns, cells);
    page.notes(
        "How it was done",
        std::vector<std::string>{
            "Every second text of a category gives the scores and trains the judge, the others are measured. The "
            "size of the removal is chosen on one set of prompts, the figures above are of another.",
            "Only activations inside blocks are overwritten: not the embedding, not the unembedding, nothing at "
            "the logits. The judge is a logistic regression on byte 1- to 4-grams of the texts; it knows nothing "
            "of the model.",
            "Continuations are drawn at temperature 0.8 from the best tokens of probability 0.9 together."});
    page.write(folder / "report.html");
  }
};

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "isolate",
      "Takes out of a model the neurons and heads that one category of texts does not need, and continues prompts of "
      "all categories with what is left. Writes report.html, edits.json, model/, pictures/, "
      "scores.tsv, continuations.json and summary.json.",
      "--model examples/demo-model --texts examples/texts --texts examples/verse --keep code --out only-code"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  settings how;
  app.cli.add_option("--keep", how.keep, "The category to keep")->required()->type_name("CATEGORY");
  app.cli.add_option("--by", how.by, "Score by which units go")->check(CLI::IsMember(scores))->capture_default_str();
  app.cli.add_option("--replace", how.with, "What stands in the place of a removed neuron")
      ->check(CLI::IsMember(replacements))
      ->capture_default_str();
  app.cli.add_option("--units", how.units, "What may go")
      ->check(CLI::IsMember({"neurons", "heads", "both"}))
      ->capture_default_str();
  app.cli.add_option("--keep-layers", how.keep_layers, "Layers that stay whole")->type_name("SPEC");
  app.cli.add_option("--scoring-tokens", how.scoring, "Tokens of each category to compute scores from, at most")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli
      .add_option("--written", how.written,
                  "As many tokens of each category that the model itself writes from its prompts, to compute scores "
                  "from beside the texts")
      ->capture_default_str();
  app.cli.add_option("--share", how.share, "Share of the units to remove: no curves and no search for the smallest")
      ->check(CLI::Range(0.0, 1.0));
  app.cli.add_option("--shares", how.shares, "Points of a curve")->check(program::not_positive)->capture_default_str();
  app.cli.add_option("--prompts", how.prompts, "Prompts of each category")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--new", how.new_tokens, "Tokens that a prompt is continued by")
      ->check(program::not_positive)
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    const tokenizer words{app.model};
    halves texts = read_halves(app, words, how);
    const auto place = std::find(texts.categories.begin(), texts.categories.end(), how.keep);
    if (place == texts.categories.end()) {
      std::string names;
      for (const std::string& name : texts.categories) names += (names.empty() ? "" : ", ") + name;
      throw bad_input{"", "--keep", "one of " + names, how.keep};
    }
    const auto kept = static_cast<std::size_t>(place - texts.categories.begin());
    pruned_model opt{checkpoint{app.model}, blas{app.threads}};
    app.report(opt);
    app.make_folder("pictures");

    std::vector<std::size_t> layers = opt.shape().layers == 0 ? std::vector<std::size_t>{} : std::vector<std::size_t>{};
    const std::vector<std::size_t> whole = how.keep_layers.empty()
                                               ? std::vector<std::size_t>{}
                                               : parse_selection(how.keep_layers, opt.layers(), "--keep-layers");
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      if (std::find(whole.begin(), whole.end(), layer) == whole.end()) layers.push_back(layer);
    }
    if (layers.empty()) throw bad_input{"", "--keep-layers", "a layer that may be touched", "none"};
    std::vector<unit_kind> kinds;
    if (how.units != "heads") kinds.push_back(unit_kind::neuron);
    if (how.units != "neurons") kinds.push_back(unit_kind::head);

    how.prompt_tokens = std::min(how.prompt_tokens, opt.shape().max_positions / 2);
    how.new_tokens = std::min(how.new_tokens, opt.shape().max_positions - how.prompt_tokens - 1);
    if (how.written != 0) write_more(opt, texts, words, how);
    const judge decide{texts.training, 3 * how.new_tokens};
    const activity active = sum_up(opt, texts.scoring, words.bos());
    isolation<pruned_model> bench{opt, decide};
    bench.categories = texts.categories.size();
    bench.new_tokens = how.new_tokens;
    bench.tokens = words.size();
    bench.banned.resize(words.size());
    for (const token_id special : opt.files().configuration().eos_token_ids) {
      if (static_cast<std::size_t>(special) < words.size()) bench.banned[static_cast<std::size_t>(special)] = true;
    }
    bench.decode = [&](const token_list& ids) { return words.decode(ids); };
    bench.prompts = draw_prompts(texts.measured, words, how.prompts, how.prompt_tokens, 1);
    for (std::size_t c = 0; c < bench.categories; ++c) {
      std::size_t taken = 0;
      for (const token_list& text : texts.measured[c]) {
        for (window& w : windows_of(text, std::min<std::size_t>(256, opt.shape().max_positions), words.bos())) {
          if (taken >= how.held_back || w.tokens.size() < 2) break;
          taken += w.tokens.size();
          bench.held_back.add(std::move(w.tokens), c);
        }
      }
    }
    const labelled_texts others = draw_prompts(texts.measured, words, how.prompts, how.prompt_tokens, 2);
    study s{how, words, opt, texts, active, {active.sums, active.groups}, bench, others, layers, kinds, {}, {}, {}, 0};
    s.run(kept);
    s.write(app, kept);
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

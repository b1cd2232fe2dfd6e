// SPDX-License-Identifier: MIT
// What a model believes after each layer of a prompt, and which component says so.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/residual/attribute_logits.hpp>
#include <optscope/residual/stream_rows.hpp>

#include "lens_report.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t shown_tokens = 5, shown_heads = 4, random_pairs = 999;
constexpr std::uint64_t seed = 1;  // of random tokens

/// Shares of every component at every position, and what random tokens get at the last one.
void attribute(model<>& opt, const corpus& input, lens::results& all) {
  logit_pair pair{.answer = all.asked[0].id};
  if (all.asked.size() > 1) pair.instead = all.asked[1].id;
  all.shares = attribute_logits(opt, input.tokens, {pair});
  const logit_attribution random =
      attribute_logits(opt, input.tokens,
                       random_logit_pairs(random_pairs, std::min(input.words->size(), opt.shape().vocabulary),
                                          pair.instead.has_value(), seed),
                       positions::last());
  std::vector<double> found(all.shares.components.size());
  for (std::size_t c = 0; c < found.size(); ++c) found[c] = lens::share_at_end(all, c);
  random_pair_level level = level_of_random_pairs(found, {random.shares.data(), {random_pairs, found.size()}});
  all.usual = std::move(level.usual);
  all.probability = std::move(level.p);
}

/// What the lens says at each depth; the logits go to a file if one is given.
void look(model<>& opt, const corpus& input, const fs::path& file, lens::results& all) {
  stream_rows<float> stream;
  opt.run(input.tokens, stream);
  const std::size_t depths = opt.layers() + 1, length = input.tokens[0].size(), known = input.words->size();
  std::optional<npy_writer<float, 3>> full;
  if (!file.empty()) full.emplace(file, std::array{depths, length, opt.shape().vocabulary});
  program::progress line{"depths"};
  for (std::size_t depth = 0; depth < depths; ++depth) {
    const tensor<float, 2> logits = opt.logits_of(stream.at(depth));  // (position, vocabulary)
    if (full) full->append({logits.data(), logits.size()});
    all.beliefs.emplace_back();
    all.believed.emplace_back();
    for (std::size_t at = 0; at < length; ++at) {
      all.beliefs.back().push_back(likeliest<float>(logits.row(at), shown_tokens, known));
      all.believed.back().push_back(input.words->piece(all.beliefs.back().back()[0].token));
    }
    for (lens::asked_token& token : all.asked) {
      token.by_depth.push_back(belief_in<float>(logits.row(length - 1), token.id));
    }
    line(depth + 1, depths);
  }
  if (full) full->commit();
}

/// The attention of these heads at the positions that the page shows.
void show_attention(model<>& opt, const corpus& input, std::vector<stream_component> heads, lens::results& all) {
  std::vector<std::size_t> layers;
  for (const stream_component& head : heads) layers.push_back(head.layer);
  if (layers.empty()) return;
  const std::size_t first = lens::first_shown(all);
  capture<site::pattern> probe{positions::strided(first, 1, all.ids.size() - first)};
  opt.run(input.tokens, probe.only_layers(layers));
  for (const stream_component& head : heads) {
    const auto pattern = probe(site::pattern{}, head.layer, 0);  // (head, position, key)
    if (head.index >= pattern.extent(0)) continue;               // removed from this layer
    lens::head_pattern& each = all.patterns.emplace_back(lens::head_pattern{.head = head});
    each.weights.resize({pattern.extent(1), pattern.extent(2)});
    std::ranges::copy(pattern.row(head.index), each.weights.data());
  }
}

/// The heads with the largest shares.
std::vector<stream_component> largest_heads(const lens::results& all) {
  std::vector<stream_component> heads;
  for (const std::size_t c : lens::largest_shares(all, all.shares.components.size())) {
    const stream_component& each = all.shares.components[c];
    if (each.kind == component_kind::head && heads.size() < shown_heads) heads.push_back(each);
  }
  return heads;
}

std::vector<stream_component> every_head(const architecture& shape) {
  std::vector<stream_component> heads;
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    for (std::size_t head = 0; head < shape.heads; ++head) {
      heads.push_back({.kind = component_kind::head, .layer = layer, .index = head});
    }
  }
  return heads;
}

void print(const lens::results& all) {
  for (std::size_t depth = 0; depth < all.beliefs.size(); ++depth) {
    std::cout << lens::depth_name(depth) << ": " << lens::shown(all.believed[depth].back()) << ' '
              << lens::number(all.beliefs[depth].back()[0].probability);
    for (const lens::asked_token& token : all.asked) {
      std::cout << ", " << lens::shown(token.piece) << ' ' << lens::number(token.by_depth[depth].probability);
    }
    std::cout << '\n';
  }
  for (const std::string& each : lens::findings(all)) std::cout << each << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "lens",
      "Shows what a model would say after each layer of a prompt and, for an answer, how much of its logit "
      "every head and MLP adds. Writes report.html, pictures/, data/ and summary.json.",
      "--model examples/demo-model --prompt 'err = f(dev); if (err) return' --answer ' err' --out lens"};
  app.offer({"--model", "--threads", "--out"});
  std::string prompt, answer, instead;
  bool full = false;
  app.option("--prompt", &prompt, "The text that the model reads").type("TEXT").required();
  const auto answered =
      app.option("--answer", &answer,
                 "A token that may come next, as it is written: a space in front counts. Its logit is "
                 "attributed to the components")
          .type("TOKEN");
  const auto compared =
      app.option("--instead", &instead, "Attribute the answer's logit minus that of this token").type("TOKEN");
  std::string heads = "largest";
  app.option(
         "--heads", &heads,
         "Whose attention is shown as a picture: of the four heads with the largest shares of the answer's logit, or "
         "of all")
      .one_of({"largest", "all"})
      .shown();
  app.option("--full", &full, "Write the logits of all tokens at every depth and position, data/lens.npy");

  return app.run(argc, argv, [&] {
    if (compared.given() && !answered.given()) throw program::wrong_usage{"--instead", "needs --answer"};
    app.prompts = {prompt};
    const corpus input = app.read_input();
    model<> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    app.check(input, opt.shape());
    lens::results all{.model = fs::canonical(app.model).filename().string(),
                      .ids = input.tokens[0],
                      .vocabulary = input.words->size(),
                      .every_head = heads == "all"};
    for (const token_id id : all.ids) all.pieces.push_back(input.words->piece(id));
    if (answered.given()) all.asked.push_back({.id = input.words->token(answer), .piece = answer});
    if (compared.given()) all.asked.push_back({.id = input.words->token(instead), .piece = instead});
    if (all.asked.size() == 2 && all.asked[0].id == all.asked[1].id) {
      throw program::wrong_usage{"--instead", "is the answer itself"};
    }
    all.facts = {{"architecture", describe(opt.shape())},
                 {"prompt", lens::shown(plot::detail::shortened(prompt, 300))},
                 {"tokens", std::to_string(all.ids.size())}};
    if (!all.asked.empty()) all.facts.emplace_back("attributed", lens::question(all));

    if (const std::size_t first = lens::first_shown(all); first > 0) {
      all.limits.push_back("The page shows the last " + std::to_string(all.ids.size() - first) + " of " +
                           std::to_string(all.ids.size()) + " positions; data/ and summary.json have all.");
    }

    if (!all.asked.empty()) attribute(opt, input, all);
    const fs::path data = app.make_folder("data");
    look(opt, input, full ? data / "lens.npy" : fs::path{}, all);
    if (all.every_head) {
      show_attention(opt, input, every_head(opt.shape()), all);
    } else if (!all.asked.empty()) {
      show_attention(opt, input, largest_heads(all), all);
    }
    if (!all.asked.empty()) {
      tensor<float, 2> shares{{all.shares.components.size(), all.ids.size()}};  // (component, position)
      std::transform(all.shares.shares.data(), all.shares.shares.data() + shares.size(), shares.data(),
                     [](double share) { return static_cast<float>(share); });
      write_npy(data / "attribution.npy", shares.view());
    }
    const auto piece_of = [&](token_id id) { return input.words->piece(id); };
    write_file(app.out / "summary.json",
               lens::summary_of(all, app.record(opt, input, {{"random tokens", seed}}), piece_of));
    lens::make_report(all).write(app.out, opt.backend().pool());
    print(all);
    std::cout << (app.out / "report.html").string() << '\n';
  });
}

// SPDX-License-Identifier: MIT
// Activations of any sites to a safetensors file: F32 tensors TEXT.SITE.LAYER, TEXT.SITE for sites without a layer.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/sink.hpp>

#include "support/device.hpp"
#include "support/program.hpp"

using namespace optscope;

namespace {

template <class... Sites, class Model>
auto sink_of(site_list<Sites...>, const program::app& app, const corpus& input, Model& opt,
             std::vector<std::size_t> layers, std::vector<std::string> sites) {
  std::vector<std::size_t> lengths;
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const token_list& tokens : input.tokens) {
    lengths.push_back(tokens.size());
    for (const token_id id : tokens) hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x100000001b3u;
  }
  capture<Sites...> what{positions{[&](std::size_t length) { return app.positions_of(length); }}};
  what.only_sites(std::move(sites)).only_layers(std::move(layers));
  return sink<resumable_safetensors, Sites...>{app.out,
                                               opt.shape(),
                                               std::move(lengths),
                                               std::move(what),
                                               {{"format", "pt"},
                                                {"model", fingerprint(opt.files())},
                                                {"texts", std::to_string(hash)},
                                                {"positions", app.positions}}};
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"capture",
                   "Writes activations of chosen sites, layers and positions to a safetensors file.\nIt grows at "
                   "OUT.partial; if the program is stopped, the same command resumes from there.",
                   "--model examples/demo-model --texts examples/texts --length 64 --sites attn_out,resid_post "
                   "--positions last --out activations.safetensors"};
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--device", "--out"});
  std::vector<std::string> names, sites;
  for (const site_info* site : all_sites::infos) names.emplace_back(site->name);
  app.option("--sites", &sites, "Sites, separated by commas").required().separated_by(',').one_of(names);
  std::size_t megabytes = 256;
  app.option("--memory", &megabytes, "Run as many texts at a time as keep their activations within this many MB")
      .type("N")
      .check(program::not_positive)
      .shown();

  return program::run_on_device(app, argc, argv, [&](auto backend) {
    const corpus input = app.read_input();
    model<any_opt, float, decltype(backend)> opt{checkpoint{app.model}, backend};
    app.report(opt);
    const std::vector<std::size_t> layers = app.layers_of(opt.layers());
    app.check(input, opt.shape());
    const config& sizes = opt.files().configuration();
    for (const site_info* site : all_sites::infos) {
      const bool heads_differ = !sizes.attention_heads.empty() && site->has(axis::head);
      const bool neurons_differ = !sizes.ffn_dims.empty() && site->has(axis::ffn);
      if ((heads_differ || neurons_differ) && std::ranges::count(sites, site->name) != 0) {
        throw bad_input{
            app.model.string(), "--sites",
            "sites that are equally wide in every layer (this model's layers differ in their neurons or heads)",
            std::string{site->name}};
      }
    }
    for (std::size_t text = 0; text < input.tokens.size(); ++text) (void)app.positions_of(input, text);

    auto file = sink_of(all_sites{}, app, input, opt, layers, sites);
    const std::size_t texts = input.tokens.size(), found = file.next_text();
    if (found != 0) {
      std::cerr << "capture: " << app.out.string() << ".partial has " << found << " of " << texts
                << " texts; resuming from there\n";
    }
    program::progress line{"texts x layers"};
    while (const std::size_t count = file.next_batch(std::min(megabytes, std::size_t{1} << 40) << 20)) {
      const auto first = input.tokens.begin() + static_cast<std::ptrdiff_t>(file.next_text());
      opt.on_progress(
          [&](std::size_t done, std::size_t total) { line(file.next_text() * total + done * count, texts * total); });
      opt.run({first, first + static_cast<std::ptrdiff_t>(count)}, file);
    }
    file.commit();
  });
}

// SPDX-License-Identifier: MIT
// Activations of any sites to a safetensors file: F32 tensors TEXT.SITE.LAYER, TEXT.SITE for sites without a layer.
#include <algorithm>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>

#include "program.hpp"

using namespace optscope;

namespace {

template <class... Sites>
capture<Sites...> capture_of(site_list<Sites...>, positions where) {
  return capture<Sites...>{std::move(where)};
}

/// Calls `action(name, view)` for everything that was captured, in the order of the file.
template <class Probe, class Action>
void for_each_tensor(const Probe& probe, std::size_t texts, const std::vector<std::size_t>& layers, Action&& action) {
  for (std::size_t text = 0; text < texts; ++text) {
    Probe::sites::for_each([&]<class Site>(Site site) {
      const std::string name = std::to_string(text) + "." + std::string{Site::name};
      if constexpr (Site::per_layer) {
        for (const std::size_t layer : layers) {
          if (probe.wants(site, layer)) action(name + "." + std::to_string(layer), probe(site, layer, text));
        }
      } else {
        if (probe.wants(site, 0)) action(name, probe(site, 0, text));
      }
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"capture", "Writes activations of chosen sites, layers and positions to a safetensors file.",
                   "--model examples/demo-model --texts examples/texts --length 64 --sites attn_out,resid_post "
                   "--positions last --out activations.safetensors"};
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--out"});
  std::vector<std::string> names, sites;
  all_sites::for_each([&]<class Site>(Site) { names.emplace_back(Site::name); });
  app.cli.add_option("--sites", sites, "Sites, separated by commas")
      ->required()
      ->delimiter(',')
      ->check(CLI::IsMember(names));

  return app.run(argc, argv, [&] {
    const program::input input = app.read_input();
    model<> opt{checkpoint{app.model}, blas{app.threads}};
    app.report(opt);
    const std::vector<std::size_t> layers = app.layers_of(opt.layers());
    app.check(input, opt.shape());
    for (std::size_t text = 0; text < input.tokens.size(); ++text) (void)app.positions_of(input, text);
    (void)output_file{app.out};  // better to know now than after the run

    auto probe = capture_of(all_sites{}, positions{[&](std::size_t length) { return app.positions_of(length); }});
    probe.only_sites(sites).only_layers(layers);
    {
      program::progress line{"layers"};
      opt.on_progress([&](std::size_t done, std::size_t total) { line(done, total); });
      opt.run(input.tokens, probe);
    }
    std::vector<safetensors_item> items;
    for_each_tensor(probe, input.tokens.size(), layers, [&](const std::string& name, auto view) {
      items.push_back({name, {view.shape().begin(), view.shape().end()}});
    });
    safetensors_writer file{app.out, items};
    for_each_tensor(probe, input.tokens.size(), layers, [&](const std::string&, auto view) {
      file.append(std::span<const float>{view.data(), view.size()});
    });
    file.commit();
  });
}

// SPDX-License-Identifier: MIT
// Runs in a memory that the host cannot touch: everything that a run does gives cpu's bits there, and only the rows
// that probes want are fetched.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <backend/fenced_backend.hpp>
#include <compare.hpp>
#include <map>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/frozen_block.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/hidden_states.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/any_observer.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/operations.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "some_runs.hpp"
#include "table.hpp"

using namespace optscope;

namespace {

using hashes = std::map<std::string, std::uint64_t>;  // by what was run
using observer = basic_any_observer<float, all_sites>;
using edits = basic_edit_list<float, all_sites>;

template <class View>
void mix(std::uint64_t& hash, const View& view) {
  for (std::size_t row = 0; row < view.rows(); ++row) {
    for (const float value : view.row(row)) {
      std::uint32_t bits;
      std::memcpy(&bits, &value, 4);
      hash = (hash ^ bits) * 1099511628211u;
    }
  }
}
void mix(std::uint64_t& hash, const token_batch& texts) {
  for (const token_list& text : texts) {
    for (const token_id id : text) hash = (hash ^ static_cast<std::uint64_t>(id)) * 1099511628211u;
  }
}

/// Hashes every site that the model has.
observer hash_all(const architecture& shape, std::uint64_t& hash) {
  observer all;
  all_sites::for_each([&]<class Site>(Site) {
    if (Site::exists(shape)) all.at(Site::name, [&hash](const place&, auto view) { mix(hash, view); });
  });
  return all;
}

/// Makes some positions of a site larger by a quarter.
edits louder(std::string_view site) {
  const auto operation = [](std::span<float> x, const vector_place&) {
    for (float& value : x) value *= 1.25f;
  };
  edits result;
  result.add(site, operation, where{}.at(positions::these({0, 3, 4, 9})));
  result.may_not_fire();
  return result;
}

/// Every kind of run of a model.
template <class Backend>
hashes run_all(const checkpoint& files, const Backend& backend) {
  using opt_model = model<any_opt, float, Backend>;
  hashes found;
  opt_model opt{files, backend};
  const std::size_t vocabulary = opt.shape().vocabulary;
  const token_batch texts{some_text(11, vocabulary, 1), some_text(1, vocabulary, 2), some_text(6, vocabulary, 3)};
  const auto observed = [&](const std::string& name) { return hash_all(opt.shape(), found[name]); };

  opt.run(texts, observed("all sites"));
  all_sites::for_each([&]<class Site>(Site) {
    if (!Site::exists(opt.shape())) return;
    typename opt_model::cache_type cache;
    const std::string name = "edit of " + std::string{Site::name};
    edits here = louder(Site::name);
    auto all = observed(name);
    mix(found[name], opt.next_logits(texts, cache, here, all).view());
    mix(found[name], opt.next_logits({{5, 7}, {}, {11}}, cache, here, all).view());
  });
  edits stream = louder("resid_pre");
  const generation what{.new_tokens = 5, .stop = {}};
  auto all = observed("generation");
  mix(found["generation"], generate(opt, texts, what, stream, all));

  typename opt_model::cache_type cache;
  basic_capture<float, site::resid_pre> before;
  opt.run(texts, cache, before.only_layers({1}));
  const auto resumed = before(site::resid_pre{}, 1);
  mix(found["generation from a layer"], generate_from(1, resumed, cache, opt, texts, what));
  mix(found["logits of a stream"], opt.logits_of(resumed).view());
  mix(found["last hidden state"], opt.last_hidden_state(resumed).view());
  cache.truncate(0, 3);
  mix(found["after a cut"], opt.next_logits({{3, 2}, {}, {}}, cache).view());
  hidden_states states{opt};
  opt.run(texts, states);
  for (std::size_t i = 0; i < states.size(); ++i) mix(found["hidden states"], states(i, 0));
  return found;
}

/// All that a frozen block shows, on the texts of the recorded run.
template <class Backend>
std::vector<float> run_frozen(const checkpoint& files, const Backend& backend) {
  model<any_opt, float, Backend> opt{files, backend};
  const token_batch texts{some_text(11, opt.shape().vocabulary, 1), some_text(6, opt.shape().vocabulary, 3)};
  const auto record = std::make_shared<frozen_activations<float>>();
  opt.run(texts, *record);
  std::vector<float> found;
  using frozen = frozen_block<float>;
  for (const bool constants : {true, false}) {
    model<any_opt, float, Backend, mapped_weights<float>, frozen> linear{files, backend, frozen{record, constants}};
    basic_capture<float, site::v, site::z, site::result, site::attn_out, site::ln2, site::mlp_post, site::resid_post>
        probe;
    linear.run(texts, probe);
    decltype(probe)::sites::for_each([&]<class Site>(Site each) {
      for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
        const auto all = probe(each, layer);
        found.insert(found.end(), all.data(), all.data() + all.size());
      }
    });
  }
  return found;
}

/// Without a version: what it says of a layer is not relied on.
struct other_weights : mapped_weights<float> {
  using mapped_weights<float>::mapped_weights;
  static void version(std::size_t) = delete;
};

/// The largest element of a site, by the device's own means: it is given the device's view.
struct on_the_device {
  using sites = site_list<site::mlp_post>;
  std::size_t seen = 0, lent = 0;
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2>) { ++lent; }
  void operator()(site::mlp_post, const place&, tensor_view<const float, 2, fenced_memory> neurons, fenced&) {
    seen += neurons.rows();
  }
};

/// True if reading there ends the process.
template <class T>
bool kills(const volatile T* address) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    static_cast<void>(*address);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

}  // namespace

TEST_CASE("the fence holds: the host is killed at a device's address, and so is the backend where memory was freed") {
  const fenced backend;
  const float* address = nullptr;
  {
    const fenced_buffer<float> buffer = backend.allocate<float>(3);
    address = buffer.data().get();
    CHECK(kills(address));
    CHECK_FALSE(kills(fence::all().host(address)));
  }
  CHECK(kills(fence::all().host(address)));
  CHECK(backend.allocate<float>(3).data().get() != address);
}

TEST_CASE("whatever is run in a device's memory, the bits are cpu's: sites, edits, caches, generation, streams") {
  for (const char* name : {"head-dim-7", "post-ln-projected", "no-bias-gelu"}) {
    CAPTURE(name);
    const checkpoint files{folder_of(name)};
    const hashes expected = run_all(files, cpu{2}), found = run_all(files, fenced{});
    CHECK(expected.size() > 25);
    for (const auto& each : expected) CHECK_MESSAGE(found.at(each.first) == each.second, each.first);
    // Not to the bit: the recorded scales are the rows' own, which cpu's LayerNorm then computes by itself.
    const std::vector<float> linear = run_frozen(files, fenced{}), linear_here = run_frozen(files, cpu{2});
    check_close(std::span<const float>{linear}, std::span<const float>{linear_here}, 1e-5, "frozen block");
  }
}

TEST_CASE("in a device's memory every golden checkpoint has cpu's bits at every site") {
  std::size_t compared = 0;
  for (const row& each : read_table()) {
    if (!each.refused.empty()) continue;
    CAPTURE(each.name);
    const checkpoint files{goldens + each.folder};
    std::uint64_t expected = 0, found = 0;
    model<any_opt, float, fenced> there{files};
    model<> here{files};
    const token_batch texts{some_text(4, here.shape().vocabulary, 1)};
    here.run(texts, hash_all(here.shape(), expected));
    there.run(texts, hash_all(here.shape(), found));
    CHECK_EQ(found, expected);
    ++compared;
  }
  CHECK(compared > 30);
}

TEST_CASE("ten positions of a capture are ten rows of traffic, an edit of two is two rows each way") {
  model<any_opt, float, fenced> opt{checkpoint{folder_of("head-dim-7")}};
  const std::size_t hidden = opt.shape().hidden, heads = opt.shape().heads, layers = opt.layers();
  const token_batch texts{some_text(30, opt.shape().vocabulary, 1), some_text(25, opt.shape().vocabulary, 2)};
  capture<site::attn_out, site::pattern> probe{positions::strided(3, 2, 10)};
  opt.run(texts, probe);
  CHECK_EQ(opt.backend().moved().read, layers * 10 * (2 * hidden + heads * (30 + 25)));
  CHECK_EQ(opt.backend().moved().edited, 0);

  auto steer = edit<site::resid_post>([](std::span<float> x, const vector_place&) { x[0] = 0; },
                                      where{}.layers({1}).at(positions::these({3, 17})));
  opt.backend().moved() = {};
  opt.run(texts, steer);
  CHECK_EQ(opt.backend().moved().edited, 2 * 2 * hidden);
  CHECK_EQ(opt.backend().moved().read, 0);
}

TEST_CASE("a probe that takes the device's views is given them, and nothing is fetched for it") {
  model<any_opt, float, fenced> opt{checkpoint{folder_of("head-dim-7")}};
  on_the_device probe;
  opt.run({some_text(30, opt.shape().vocabulary, 1)}, probe);
  CHECK_EQ(probe.seen, 30 * opt.layers());
  CHECK_EQ(probe.lent, 0);
  CHECK_EQ(opt.backend().moved().read, 0);
  model<> here{checkpoint{folder_of("head-dim-7")}};
  here.run({some_text(30, opt.shape().vocabulary, 1)}, probe);
  CHECK_EQ(probe.lent, opt.layers());
}

TEST_CASE(
    "shipped operations on units are done on the device, with the host's bits; rules and other sites by the host") {
  const checkpoint files{folder_of("head-dim-7")};
  const token_batch texts{some_text(11, 50, 1), some_text(6, 50, 2)};
  const auto run = [&](const auto& backend, std::string_view site, const auto& operation, where chosen) {
    model<any_opt, float, std::remove_cvref_t<decltype(backend)>> opt{files, backend};
    edits here;
    here.add(site, operation, std::move(chosen));
    std::uint64_t hash = 0;
    auto all = hash_all(opt.shape(), hash);
    opt.run(texts, here, all);
    return std::pair{hash, here.fired(0)};
  };
  const auto check = [&](std::string_view site, const auto& operation, const where& chosen, bool on_device) {
    CAPTURE(site);
    const fenced backend;
    CHECK(run(backend, site, operation, chosen) == run(cpu{2}, site, operation, chosen));
    CHECK_EQ(backend.moved().edited == 0, on_device);
  };
  check("mlp_post", zero{}, where{}.layers({1}).units({0, 3}).at(positions::these({1, 4, 8})), true);
  check("resid_mid", scale{-0.5}, where{}.at(positions::last()), true);
  check("z", set{std::vector<double>{1, 2, 3, 4, 5, 6, 7}}, where{}.heads({1}), true);
  check("attn_out", add{0.25, 4}, where{}.layers({0}).texts({1}), true);
  check("result", zero{}, where{}.heads({0}).layers({0}), true);
  check("pattern", scale{0.5}, where{}.heads({1}), false);
  check("mlp_post", zero{}, where{}.mask([](const vector_place&, std::size_t unit) { return unit % 2 == 1; }), false);

  model<any_opt, float, fenced> opt{files};  // a typed editor
  auto ablate = edit<site::mlp_post, site::z>(zero{}, where{}.at(positions::these({1, 2})));
  opt.run(texts, ablate);
  CHECK_EQ(ablate.fired(), 2 * 2 * opt.layers() * (1 + opt.shape().heads));
  CHECK_EQ(opt.backend().moved().edited, 0);
}

TEST_CASE(
    "weights are copied to the device once, or layer by layer where they do not fit, and again when they change") {
  const checkpoint files{folder_of("demo-model")};  // eight layers
  const token_batch texts{some_text(4, 50, 1)};
  removal what;
  what.layers.resize(8);
  what.layers[1].heads = {1};
  const auto logits = [&](auto& opt) {
    typename std::remove_reference_t<decltype(opt)>::cache_type cache;
    const tensor<float, 2> found = opt.next_logits(texts, cache);
    return std::vector<float>(found.data(), found.data() + found.size());
  };
  model<any_opt, float, cpu, pruned_weights<float>> expected{files, cpu{2}};
  const std::vector<float> whole = logits(expected);
  expected.weights().remove(what, expected.backend().pool());
  const std::vector<float> cut = logits(expected);
  CHECK(whole != cut);

  const auto check = [&]<class Weights>(const fenced& backend, bool copied_again) {
    model<any_opt, float, fenced, pruned_weights<float, Weights>> opt{files, backend};
    CHECK_EQ(logits(opt), whole);
    const std::size_t first = std::exchange(backend.moved(), {}).written;
    CHECK_EQ(logits(opt), whole);
    const std::size_t second = std::exchange(backend.moved(), {}).written;
    CHECK_EQ(second > 4 * texts[0].size() * opt.shape().hidden, copied_again);  // more than the embeddings
    CHECK(first > second);
    opt.weights().remove(what, backend.pool());
    CHECK_EQ(logits(opt), cut);
    opt.weights().remove({}, backend.pool());
    CHECK_EQ(logits(opt), whole);
  };
  check.operator()<mapped_weights<float>>(fenced{}, false);
  check.operator()<mapped_weights<float>>(fenced{cpu{2}, 1}, true);
  check.operator()<other_weights>(fenced{}, true);
}

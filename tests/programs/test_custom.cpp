// SPDX-License-Identifier: MIT
// The programs with a custom part, and the bits that two processes get.
#include <cstring>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/core/site.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/where.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <string>
#include <vector>

#include "programs/run_program.hpp"

using namespace program_tests;
using namespace optscope;

TEST_CASE("the programs with a custom part run") {
  const sandbox box;
  box.write("a.txt", "Enter the King.");
  box.write("b.txt", "static int init(void)");
  const auto metric = box.run("custom_metric", {demo_model, "a.txt", "b.txt"});
  check_done(metric);
  CHECK(metric.out.find("layer 7\n") != std::string::npos);
  const auto observer = box.run("custom_observer", {demo_model, "a.txt", "b.txt"});
  check_done(observer);
  CHECK(observer.out.find("text 1 layer 7: ") != std::string::npos);
  for (const char* program : {"custom_metric", "custom_observer", "custom_editor"}) {
    check_refused(box.run(program, {}), 1, program, "usage: ");
  }
}

TEST_CASE("custom_editor steers as the library's editor of that direction does") {
  const sandbox box;
  const std::string from = "Enter the King.", towards = "static int init(void)", prompt = "The";
  const auto result = box.run("custom_editor", {demo_model, from, towards, prompt});
  check_done(result);
  model<> opt{checkpoint{demo_model}};
  const tokenizer words{demo_model};
  capture<site::resid_post> ends{positions::last()};
  opt.run({words.encode(from), words.encode(towards)}, ends);
  const auto stream = ends(site::resid_post{}, opt.layers() / 2);
  std::vector<double> direction;
  for (std::size_t i = 0; i < stream.cols(); ++i) direction.push_back(stream(1, i) - stream(0, i));
  auto steer = edit<site::resid_post>(add{direction}, where{}.layers({opt.layers() / 2}));
  const generation what{.new_tokens = 24, .tokens = words.size()};
  CHECK_EQ(result.out, words.decode(generate(opt, {words.encode(prompt)}, what, steer)[0]) + "\n");
  CHECK(result.out != words.decode(generate(opt, {words.encode(prompt)}, what)[0]) + "\n");
}

TEST_CASE("two processes get the same bits at every site, in any batch, order and number of threads") {
  const sandbox box;
  std::string sites;
  all_sites::for_each([&]<class Site>(Site) { sites += (sites.empty() ? "" : ",") + std::string{Site::name}; });
  const std::vector<std::string> texts{"[2,90,7,14,33,21,64]", "[2]", "[2,11,57,80,3,41,99,100,8,16,5,72]"};
  const auto run = [&](const std::string& name, const std::vector<std::size_t>& order, const char* threads) {
    std::string ids;
    for (const std::size_t text : order) ids += (ids.empty() ? "[" : ",") + texts[text];
    box.write(name + ".json", ids + "]");
    check_done(box.run("capture", {"--model", tiny_model, "--ids", name + ".json", "--sites", sites, "--threads",
                                   threads, "--out", name + ".safetensors"}));
    return read_safetensors((box / (name + ".safetensors")).string());
  };
  const tensor_table first = run("first", {0, 1, 2}, "1");
  std::size_t compared = 0;
  const auto compare = [&](const tensor_table& other, const std::vector<std::size_t>& order) {
    for (const auto& entry : other.tensors) {
      const std::string& name = entry.first;
      const stored_tensor& stored = entry.second;
      const std::size_t dot = name.find('.');
      const std::size_t text = order[std::stoul(name.substr(0, dot))];
      const stored_tensor& expected = first.tensors.at(std::to_string(text) + name.substr(dot));
      REQUIRE_EQ(stored.shape(), expected.shape());
      std::vector<float> a(stored.size()), b(stored.size());
      stored.copy_to(a.data());
      expected.copy_to(b.data());
      CHECK_MESSAGE(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0, name);
      ++compared;
    }
  };
  compare(run("again", {0, 1, 2}, "1"), {0, 1, 2});
  compare(run("two", {0, 1, 2}, "2"), {0, 1, 2});
  compare(run("three", {2, 0, 1}, "3"), {2, 0, 1});
  compare(run("alone", {2}, "2"), {2});
  CHECK_EQ(compared, 10 * first.tensors.size() / 3);
}

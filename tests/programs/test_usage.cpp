// SPDX-License-Identifier: MIT
// What all programs do alike: help, wrong usage, bad input, and no half-written file.
#include <array>

#include "programs/run_program.hpp"

using namespace program_tests;

namespace {

const std::vector<std::string> every_program{"tokens", "study", "capture", "compare", "lens"};

/// Arguments of `program` that are right, for the tiny model; later ones replace none of them, so add only others.
std::vector<std::string> right(const std::string& program, const std::string& model, const std::string& ids,
                               std::vector<std::string> more = {}) {
  std::vector<std::string> all{"--model", model, "--ids", ids, "--out", "out", "--threads", "1"};
  if (program == "capture") all.insert(all.end(), {"--sites", "attn_out"});
  if (program == "study") all.insert(all.end(), {"--length", "3", "--layers", "0"});
  if (program == "study" && std::find(more.begin(), more.end(), "--positions") == more.end()) {
    all.insert(all.end(), {"--positions", "1,2"});
  }
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("the example of --help works unchanged, from any folder") {
  for (const std::string& program : every_program) {
    CAPTURE(program);
    const sandbox folder;
    const outcome help = folder.run(program, {"--help"});
    check_done(help);
    const std::string example = example_of(help.out);
    CHECK_EQ(std::count(example.begin(), example.end(), '\n'), 1);
    check_done(folder.shell(example));
    if (program != "tokens") CHECK(!folder.list().empty());
  }
}

TEST_CASE("wrong usage exits with 2 and says which option is meant") {
  const sandbox folder;
  folder.write("ids.json", "[[1, 2, 3]]");
  const std::string model = tiny_model;
  for (const std::string& program : every_program) {
    CAPTURE(program);
    check_refused(folder.run(program, {}), 2, program, "--model");
    check_refused(folder.run(program, {"--model"}), 2, program, "--model");
    check_refused(folder.run(program, {"--mdoel", "x"}), 2, program, "not expected: --mdoel x");
  }
  check_refused(folder.run("tokens", {"--model", model}), 2, "tokens", "--texts is required");
  check_refused(folder.run("tokens", {"--model", "", "--texts", "x"}), 2, "tokens", "--model: expected a path");
  for (const std::string program : {"study", "capture"}) {
    CAPTURE(program);
    const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
      check_refused(folder.run(program, right(program, model, "ids.json", more)), 2, program, part);
    };
    refused({"--bogus"}, "--bogus");
    refused({"--texts", "x"}, "--texts: cannot be given together with --ids");
    refused({"more"}, "more");
    refused({"--positions", "1:2:3:4"}, "--positions: expected indices and slices separated by commas");
    refused({"--positions", "1,x"}, "found 'x'");
    refused({"--positions", "::0"}, "a slice step other than 0");
    const std::string file = folder / "ids.json";
    std::vector<std::string> least{"--model", model, "--ids", file};
    if (program == "capture") least.insert(least.end(), {"--sites", "z"});
    check_refused(folder.run(program, least), 2, program, "--out is required");
    const auto with = [&](const std::string& option, const std::string& value) {
      std::vector<std::string> all = least;
      if (option != "--out") all.insert(all.end(), {"--out", "out"});
      all.insert(all.end(), {option, value});
      return folder.run(program, all);
    };
    check_refused(with("--out", ""), 2, program, "--out: expected a path");
    check_refused(with("--layers", "last"), 2, program, "--layers");
    check_refused(with("--length", "0"), 2, program, "--length: expected a whole number, 1 or more, found 0");
    check_refused(with("--length", "-3"), 2, program, "--length");
    check_refused(with("--threads", "100000"), 2, program,
                  "--threads: expected a whole number from 1 to 1024, found 100000");
    check_refused(with("--device", "gpu"), 2, program, "--device: expected one of cpu, cuda, found gpu");
    ::setenv("CUDA_VISIBLE_DEVICES", "", 1);  // none, whatever this machine has
#ifdef OPTSCOPE_PROGRAMS_CUDA
    check_refused(with("--device", "cuda"), 1, program, "CUDA: ");
#else
    check_refused(with("--device", "cuda"), 2, program, "--device: this program was built without CUDA");
#endif
  }
  check_refused(folder.run("capture", {"--model", model, "--ids", "ids.json", "--out", "out"}), 2, "capture",
                "--sites is required");
  check_refused(folder.run("capture", right("capture", model, "ids.json", {"--sites", "nope"})), 2, "capture", "nope");
  check_refused(
      folder.run("study", right("study", model, "ids.json", {"--metrics", "cosine,nope"})), 2, "study",
      "--metrics: expected one of cosine, scaled_cosine, centred_cosine, whitened_cosine, pca_cosine, euclidean, "
      "rbf, found nope");
  CHECK_EQ(folder.list(), std::vector<std::string>{"ids.json"});
}

TEST_CASE("a model that cannot be read is bad input, and nothing is written") {
  const sandbox folder;
  folder.write("ids.json", "[[1, 2, 3]]");
  folder.write("file", "not a folder");
  fs::create_directory(folder / "empty");
  folder.copy_model(tiny_model, "no-weights");
  fs::remove(folder / "no-weights/model.safetensors");
  folder.copy_model(tiny_model, "cut");
  fs::resize_file(folder / "cut/model.safetensors", 100'000);
  folder.copy_model(tiny_model, "cut-header");
  fs::resize_file(folder / "cut-header/model.safetensors", 100);
  folder.copy_model(tiny_model, "page");
  folder.write("page/model.safetensors", "<html>404</html>");

  const std::string config = content_of(tiny_model / "config.json");
  const auto changed = [&](const std::string& name, const std::string& from, const std::string& to) {
    folder.copy_model(tiny_model, name);
    std::string text = config;
    REQUIRE(text.find(from) != std::string::npos);
    folder.write(name + "/config.json", text.replace(text.find(from), from.size(), to));
  };
  changed("more-layers", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  changed("wider", "\"ffn_dim\": 96", "\"ffn_dim\": 95");
  changed("gpt2", "\"model_type\": \"opt\"", "\"model_type\": \"gpt2\"");
  changed("half-a-config", config.substr(config.size() / 2), "");
  const auto before = folder.list();

  for (const std::string program : {"study", "capture"}) {
    CAPTURE(program);
    const auto refused = [&](const std::string& model, const std::string& part) {
      check_refused(folder.run(program, right(program, model, "ids.json")), 3, program, model + part);
    };
    refused("none", ": expected a folder with a model");
    refused("file", ": expected a folder with a model");
    refused("empty", ": expected config.json in this folder, found no such file");
    refused("no-weights", ": expected weights: model.safetensors");
    refused("cut", "/model.safetensors: expected");
    refused("cut-header", "/model.safetensors: header length: expected");
    refused("page", "/model.safetensors: header length: expected");
    refused("more-layers", "/model.safetensors: tensor \"decoder.layers.2.");
    refused("wider", "/model.safetensors: tensor model.decoder.layers.0.fc1.weight: expected shape [95, 128]");
    refused("gpt2", "/config.json: model_type: expected \"opt\", found \"gpt2\"");
    refused("half-a-config", "/config.json: line 16, column 16: expected JSON, found its end");
  }
  folder.write("text.txt", "A text.");
  for (const std::string model : {"none", "file"}) {
    check_refused(folder.run("tokens", {"--model", model, "--texts", "text.txt"}), 3, "tokens",
                  model + ": expected a model folder");
  }
  fs::remove(folder / "text.txt");
  CHECK_EQ(folder.list(), before);
}

TEST_CASE("a checkpoint that only torch can read is bad input that says what to do") {
  const sandbox folder;
  folder.write("ids.json", "[[1, 2, 3]]");
  const fs::path checkpoints = source / "tests/goldens/checkpoint";
  const auto captured = [&](const char* name) {
    return folder.run("capture", right("capture", checkpoints / name, "ids.json"));
  };
  check_refused(captured("bin-legacy"), 3, "capture", "/bin-legacy/pytorch_model.bin: expected a zip archive");
  check_refused(captured("bin-untied-no-head"), 3, "capture", "tensor \"lm_head.weight\": expected this tensor");
  CHECK_EQ(folder.list(), std::vector<std::string>{"ids.json"});
}

TEST_CASE("ids that a model cannot take are bad input: file, list and token") {
  const sandbox folder;
  std::string long_list = "[[1,2,3],[1";
  for (int i = 0; i < 320; ++i) long_list += ",1";
  const std::vector<std::array<std::string, 3>> cases{
      {"none", "[]", "none.json: expected at least one list of token ids, found an empty list"},
      {"empty", "[[]]", "empty.json: list 0: expected at least one token id, found an empty list"},
      {"high", "[[1,2,3],[4,5,101]]", "high.json: list 1, token 2: expected an id below 101, found 101"},
      {"minus", "[[1,-2,3]]", "minus.json: list 0, item 1: expected a token id, found -2"},
      {"word", "[[1,\"x\"]]", "word.json: list 0, item 1: expected a token id, found the string"},
      {"lines", "[1,2]\n[]", "lines.json: line 2: expected at least one token id"},
      {"object", "{\"a\": 1}", "object.json: expected a list of lists of token ids, found an object"},
      {"cut", "[[1,2,3", "cut.json: line 1, column 8: expected JSON, found its end"}};
  std::vector<std::string> before;
  for (const auto& [name, content, message] : cases) folder.write(name + ".json", content);
  folder.write("long.json", long_list + "]]");
  before = folder.list();
  for (const std::string program : {"study", "capture"}) {
    CAPTURE(program);
    for (const auto& [name, content, message] : cases) {
      check_refused(folder.run(program, right(program, tiny_model, name + ".json")), 3, program, message);
    }
    check_refused(folder.run(program, right(program, tiny_model, "nothing.json")), 3, program,
                  "nothing.json: expected a readable file, found No such file");
  }
  check_refused(folder.run("capture", right("capture", tiny_model, "long.json")), 3, "capture",
                "long.json: list 1: expected at most 320 tokens, or --length to cut, found 321");
  CHECK_EQ(folder.list(), before);
  check_done(folder.run("capture", right("capture", tiny_model, "long.json", {"--length", "320"})));
}

TEST_CASE("texts that cannot be read are bad input: file and byte") {
  const sandbox folder;
  folder.write("good/a.txt", "A text that is good.");
  folder.write("good/b.txt", std::string{"and one \xe2\x82 that is cut", 22});
  folder.write("notes/readme.md", "no text");
  const auto refused = [&](const std::string& model, const std::string& path, const std::string& part) {
    check_refused(folder.run("tokens", {"--model", model, "--texts", path}), 3, "tokens", part);
    check_refused(folder.run("capture", {"--model", model, "--texts", path, "--sites", "z", "--out", "out"}), 3,
                  "capture", part);
  };
  refused(demo_model, "good", "good/b.txt: byte 8: expected UTF-8, found 0xe2");
  refused(demo_model, "notes", "notes: expected at least one .txt file, found none");
  refused(demo_model, "nothing", "nothing: expected a readable file");
  refused(tiny_model, "good",
          tiny_model.string() + ": expected a tokenizer: tokenizer.json, or vocab.json and merges.txt");
  CHECK_FALSE(fs::exists(folder / "out"));

  const outcome result = folder.shell(std::string{OPTSCOPE_PROGRAMS_DIR} + "/tokens --model '" + demo_model.string() +
                                      "' --texts good/a.txt > /dev/full");
  check_refused(result, 1, "tokens", "cannot write to standard output");
}

TEST_CASE("a text shorter than the study's length is bad input that says by how much") {
  const sandbox folder;
  folder.write("texts/1-prose/01-long.txt", "one two three four five six seven eight nine ten eleven twelve");
  folder.write("texts/1-prose/02-short.txt", "");
  check_refused(folder.run("study", {"--model", demo_model, "--texts", "texts", "--length", "4", "--out", "out"}), 3,
                "study", "texts/1-prose/02-short.txt: expected at least 4 tokens, found 1, 3 too few");
  folder.write("ids.json", "[[1,2,3,4],[5,6]]");
  check_refused(folder.run("study", right("study", tiny_model, "ids.json")), 3, "study",
                "ids.json: list 1: expected at least 3 tokens, found 2, 1 too few");
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("layers, positions and dimensions outside the model or the text are bad input") {
  const sandbox folder;
  folder.write("ids.json", "[[1,2,3,4,5],[1,2,3]]");
  const std::string model = tiny_model;
  const auto captured = [&](const std::vector<std::string>& more) {
    return folder.run("capture", right("capture", model, "ids.json", more));
  };
  check_refused(captured({"--layers", "2"}), 3, "capture", "--layers: expected indices from -2 to 1, found 2");
  check_refused(captured({"--layers", "-3"}), 3, "capture", "--layers: expected indices from -2 to 1, found -3");
  check_refused(captured({"--layers", "5:"}), 3, "capture", "--layers: expected a selection of at least one of 2");
  check_refused(captured({"--positions", "3"}), 3, "capture",
                "ids.json: list 1, --positions: expected indices from -3 to 2, found 3");
  check_refused(captured({"--positions", "9:"}), 3, "capture", "ids.json: list 0, --positions: expected a selection");

  const auto studied = [&](const std::vector<std::string>& more) {
    return folder.run("study", right("study", model, "ids.json", more));
  };
  // the default positions begin at 475
  check_refused(folder.run("study", {"--model", model, "--ids", "ids.json", "--length", "3", "--out", "out"}), 3,
                "study",
                "--positions: expected a selection of at least one of 3 (--length 3), found none in '475:512:4'");
  check_refused(studied({"--positions", "3"}), 3, "study",
                "--positions: expected indices from -3 to 2 (--length 3), found 3");
  check_refused(studied({"--dimensions", "7,128"}), 3, "study", "--dimensions: expected numbers below 128, found 128");
  CHECK_EQ(folder.list(), std::vector<std::string>{"ids.json"});
}

TEST_CASE("an output that cannot be written is bad input, reported before the work") {
  const sandbox folder;
  folder.write("ids.json", "[[1,2,3]]");
  fs::create_directory(folder / "folder");
  const auto to = [&](const std::string& program, const std::string& place) {
    std::vector<std::string> arguments = right(program, tiny_model, "ids.json");
    *(std::find(arguments.begin(), arguments.end(), "--out") + 1) = place;
    return folder.run(program, arguments);
  };
  check_refused(to("study", "ids.json"), 3, "study", "ids.json/data: expected a folder that can be made");
  check_refused(to("study", "ids.json/below"), 3, "study", "found Not a directory");
  check_refused(to("study", "/proc/nothing"), 3, "study", "/proc/nothing/data: expected");
  check_refused(to("capture", "folder"), 3, "capture", "folder: expected a file to write, found a folder");
  check_refused(to("capture", "ids.json/below"), 3, "capture", "ids.json/below: expected a writable place");
  check_refused(to("capture", "nowhere/file"), 3, "capture", "nowhere/file: expected a writable place");
  check_refused(to("capture", "/proc/nothing"), 3, "capture", "/proc/nothing: expected a writable place");
  CHECK_EQ(folder.list(), std::vector<std::string>{"folder/", "ids.json"});
}

TEST_CASE("an output may be a link, a device or a pipe, and with a standard stream closed it holds the data alone") {
  const sandbox folder;
  folder.write("ids.json", "[[1,2,3]]");
  const std::string capture = std::string{OPTSCOPE_PROGRAMS_DIR} + "/capture --model '" + tiny_model.string() +
                              "' --ids ids.json --sites attn_out --threads 1 --out ";
  for (const char* device : {"null", "full"}) fs::create_symlink(fs::path{"/dev"} / device, folder / device);
  check_done(folder.shell(capture + "plain && ln -s target link && " + capture + "link && " + capture + "null && " +
                          capture + "/dev/stdout | cat > piped && " + capture + "closed <&- >&- 2>&-; exit 0"));
  const std::string whole = content_of(folder / "plain");
  CHECK_GT(whole.size(), 1000);
  for (const char* file : {"target", "piped", "closed"}) CHECK_EQ(content_of(folder / file), whole);
  check_refused(folder.shell(capture + "full"), 1, "capture", "full: cannot write: No space left");
  for (const char* link : {"link", "null", "full"}) CHECK(fs::is_symlink(folder / link));
  CHECK(fs::is_character_file("/dev/null"));
  CHECK_EQ(folder.list().size(), 8);
}

TEST_CASE("a full disk exits with 1, and no half-written file stays") {
  const sandbox folder;
  folder.write("ids.json", "[[1,2,3],[4,5,6]]");
  const auto limited = [&](const std::string& program, const std::string& blocks,
                           const std::vector<std::string>& more) {
    std::string line =
        "trap '' XFSZ; ulimit -f " + blocks + "; exec " + std::string{OPTSCOPE_PROGRAMS_DIR} + "/" + program;
    for (const std::string& word : right(program, tiny_model, "ids.json", more)) line += " '" + word + "'";
    return folder.shell(line);
  };
  check_refused(limited("capture", "2", {"--sites", "logits,mlp_out"}), 1, "capture",
                "out: cannot write: File too large");
  CHECK_EQ(folder.list(), std::vector<std::string>{"ids.json"});
  // Pictures and their scripts have room, the report has not.
  check_refused(limited("study", "80", {}), 1, "study", "out/report.html: cannot write: File too large");
  for (const std::string& name : folder.list()) CHECK_MESSAGE(name.find(".tmp") == std::string::npos, name);
  CHECK_FALSE(fs::exists(folder / "out/report.html"));
}

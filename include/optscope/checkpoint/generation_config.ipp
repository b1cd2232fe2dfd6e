// SPDX-License-Identifier: MIT
#pragma once
// Bodies of generation_config.hpp.

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <optscope/checkpoint/generation_config.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string_view>
#include <utility>

namespace optscope {
namespace detail {

/// Reads the keys of a generation out of generation_config.json or config.json.
class generation_reader {
 public:
  explicit generation_reader(const std::filesystem::path& path)
      : file_{json_file::read<checkpoint_error>(path)}, json_{file_, file_.root()} {}

  void read(generation_config& to) const {
    ids("eos_token_id", to.eos_token_ids);
    ids("suppress_tokens", to.suppress_tokens);
    ids("begin_suppress_tokens", to.begin_suppress_tokens);
    ids("forced_eos_token_id", to.forced_eos_token_ids);
    if (const auto value = present("bad_words_ids")) {
      std::vector<json_value> lists;
      if (!value->get(lists)) wrong("bad_words_ids", "a list of lists of token ids", *value);
      for (const json_value& each : lists) {
        std::vector<json_value> list;
        if (!each.get(list) || list.empty()) wrong("bad_words_ids", "a list of lists of token ids", each);
        token_list word;
        for (const json_value& id : list) word.push_back(one_id("bad_words_ids", id));
        to.bad_words_ids.push_back(std::move(word));
      }
    }
    number("repetition_penalty", to.repetition_penalty, "a number above 0", [](double n) { return n > 0; });
    whole("no_repeat_ngram_size", to.no_repeat_ngram_size);
    if (const auto value = present("do_sample"); value && !value->get(to.do_sample)) {
      wrong("do_sample", "true or false", *value);
    }
    if (to.do_sample) {
      number("temperature", to.temperature, "a number above 0", [](double n) { return n > 0; });
      whole("top_k", to.top_k);
      number("top_p", to.top_p, "a number above 0, at most 1", [](double n) { return n > 0 && n <= 1; });
    }
  }

  /// Every key of the list that is not neutral.
  template <class List>
  void report(const List& keys, std::vector<std::string>& to) const {
    for (const auto& [key, neutral] : keys) {
      const auto value = present(key);
      if (!value) continue;
      double found = 0;
      bool truth = false;
      std::vector<json_value> list;
      if (value->get(truth)) found = truth ? 1 : 0;
      const bool is_number = value->get(truth) || value->get(found);
      if ((is_number && found == neutral) || (value->get(list) && list.empty())) continue;
      to.push_back(file_.name() + ": " + std::string{key} + " " + printable(value->text(), 40));
    }
  }

 private:
  [[nodiscard]] std::optional<json_value> present(std::string_view key) const {
    const auto value = json_.find(key);
    return value && !value->is_null() ? value : std::nullopt;
  }

  [[noreturn]] void wrong(std::string_view key, std::string expected, const json_value& found) const {
    json_.refuse(key, std::move(expected), found.description());
  }

  [[nodiscard]] token_id one_id(std::string_view key, const json_value& value) const {
    std::int64_t id = 0;
    if (!value.get(id) || id > std::numeric_limits<token_id>::max()) wrong(key, "a token id or null", value);
    return static_cast<token_id>(std::max<std::int64_t>(id, -1));
  }

  /// One id or several; negative ones are those of no token.
  void ids(std::string_view key, std::vector<token_id>& to) const {
    const auto value = present(key);
    if (!value) return;
    std::vector<json_value> list{*value};
    (void)value->get(list);
    for (const json_value& each : list) to.push_back(one_id(key, each));
    std::erase_if(to, [](token_id id) { return id < 0; });
  }

  template <class Right>
  void number(std::string_view key, double& to, const char* expected, Right&& right) const {
    const auto value = present(key);
    if (value && !(value->get(to) && right(to))) wrong(key, expected, *value);
  }

  void whole(std::string_view key, std::size_t& to) const {
    const auto value = present(key);
    std::uint64_t number = 0;
    if (!value) return;
    if (!value->get(number)) wrong(key, "a whole number, 0 or more", *value);
    to = static_cast<std::size_t>(number);
  }

  json_file file_;
  json_object json_;
};

using neutral_value = std::pair<std::string_view, double>;

/// What is read only if `do_sample` is true.
inline constexpr std::array<neutral_value, 3> sampling_keys{{{"temperature", 1}, {"top_k", 50}, {"top_p", 1}}};

/// What is read, but not from config.json beside generation_config.json.
inline constexpr std::array<neutral_value, 7> generation_keys{{{"suppress_tokens", -1},
                                                               {"begin_suppress_tokens", -1},
                                                               {"forced_eos_token_id", -1},
                                                               {"bad_words_ids", -1},
                                                               {"repetition_penalty", 1},
                                                               {"no_repeat_ngram_size", 0},
                                                               {"do_sample", 0}}};

/// What changes a generation of transformers and is not read.
inline constexpr std::array<neutral_value, 31> other_generation_keys{{{"max_length", 20},
                                                                      {"max_new_tokens", -1},
                                                                      {"min_length", 0},
                                                                      {"min_new_tokens", 0},
                                                                      {"max_time", -1},
                                                                      {"stop_strings", -1},
                                                                      {"num_beams", 1},
                                                                      {"num_beam_groups", 1},
                                                                      {"diversity_penalty", 0},
                                                                      {"early_stopping", 0},
                                                                      {"length_penalty", 1},
                                                                      {"num_return_sequences", 1},
                                                                      {"penalty_alpha", -1},
                                                                      {"dola_layers", -1},
                                                                      {"top_h", -1},
                                                                      {"min_p", -1},
                                                                      {"typical_p", 1},
                                                                      {"epsilon_cutoff", 0},
                                                                      {"eta_cutoff", 0},
                                                                      {"encoder_repetition_penalty", 1},
                                                                      {"encoder_no_repeat_ngram_size", 0},
                                                                      {"sequence_bias", -1},
                                                                      {"force_words_ids", -1},
                                                                      {"constraints", -1},
                                                                      {"forced_bos_token_id", -1},
                                                                      {"forced_decoder_ids", -1},
                                                                      {"exponential_decay_length_penalty", -1},
                                                                      {"guidance_scale", 1},
                                                                      {"watermarking_config", -1},
                                                                      {"remove_invalid_values", 0},
                                                                      {"renormalize_logits", 0}}};

}  // namespace detail

OPTSCOPE_INLINE generation_config read_generation_config(const std::filesystem::path& folder) {
  generation_config result;
  const std::filesystem::path own = folder / "generation_config.json", model = folder / "config.json";
  const bool separate = file_present(own);
  const detail::generation_reader read{separate ? own : model};
  read.read(result);
  if (!result.do_sample) read.report(detail::sampling_keys, result.not_applied);
  read.report(detail::other_generation_keys, result.not_applied);
  if (separate) {
    const detail::generation_reader beside{model};
    beside.report(detail::generation_keys, result.not_applied);
    beside.report(detail::other_generation_keys, result.not_applied);
  }
  return result;
}

}  // namespace optscope

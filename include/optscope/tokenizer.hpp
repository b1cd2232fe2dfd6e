// SPDX-License-Identifier: MIT
#pragma once
// Everything in tokenizer/: text to token ids and back.

#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/bpe.hpp>
#include <optscope/tokenizer/byte_map.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <optscope/tokenizer/tokenizer_json.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <optscope/tokenizer/vocabulary.hpp>

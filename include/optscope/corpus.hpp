// SPDX-License-Identifier: MIT
#pragma once
// Everything in corpus/: texts of categories, their windows, halves and prompts; whether they are independent.

#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/halves.hpp>
#include <optscope/corpus/prompts.hpp>
#include <optscope/corpus/survey.hpp>
#include <optscope/corpus/windows.hpp>

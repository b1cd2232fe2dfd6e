// SPDX-License-Identifier: MIT
#pragma once
// Where the models are that tests run.

#include <string>

inline const std::string goldens = OPTSCOPE_SOURCE_DIR "/tests/goldens/";
inline const std::string model_goldens = OPTSCOPE_SOURCE_DIR "/tests/goldens/model/";
inline const std::string demo_model = OPTSCOPE_SOURCE_DIR "/examples/demo-model";

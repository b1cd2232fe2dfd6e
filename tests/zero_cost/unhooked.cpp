// SPDX-License-Identifier: MIT
#include <optscope/opt/model.hpp>

void run(optscope::model<optscope::opt_125m>& opt, const optscope::token_batch& texts) { opt.run(texts); }

// SPDX-License-Identifier: MIT
// Texts to token ids: one JSON list per line, in the order of the texts. Needs no weights.
#include <iostream>
#include <optscope/core/json_writer.hpp>

#include "support/program.hpp"

int main(int argc, char** argv) {
  program::app app{"tokens", "Turns texts into token ids: one JSON list per line, in the order of the texts.",
                   "--model examples/demo-model --texts examples/texts --length 16"};
  app.offer({"--model", "--texts", "--length"});
  return app.run(argc, argv, [&] {
    for (const optscope::token_list& tokens : app.read_input(0).tokens) {
      optscope::json_writer json;
      json.begin_array();
      for (const optscope::token_id id : tokens) json.value(id);
      json.end_array();
      std::cout << json.text() << '\n';
    }
  });
}

// SPDX-License-Identifier: MIT
#pragma once
// The backend that a program computes on: --device. Not part of the library.

#include <optscope/backend/cpu.hpp>

#include "program.hpp"

#ifdef OPTSCOPE_PROGRAMS_CUDA
#include <optscope/backend/cuda.hpp>
#endif

namespace program {

/// Calls `body` with the backend that `app.device` names, and returns what it returns. The body is compiled for each
/// backend that the programs were built with.
template <class Body>
auto on_device(const app& app, Body&& body) {
#ifdef OPTSCOPE_PROGRAMS_CUDA
  if (app.device == "cuda") return body(optscope::cuda{{.threads = app.threads}});
#endif
  if (app.device != "cpu") {
    throw wrong_usage{"--device", "this program was built without CUDA: configure with -DOPTSCOPE_CUDA=ON"};
  }
  return body(optscope::cpu{app.threads});
}

/// `app.run` of a body that takes the backend.
///
///     return program::run_on_device(app, argc, argv, [&](auto backend) {
///       model<any_opt, float, decltype(backend)> opt{checkpoint{app.model}, backend};
///       …
///     });
template <class Body>
int run_on_device(app& app, int argc, char** argv, Body&& body) {
  return app.run(argc, argv, [&] { on_device(app, body); });
}

}  // namespace program

// SPDX-License-Identifier: MIT
#pragma once
// The backend `cuda`: a model on an NVIDIA GPU. Needs the CUDA toolkit 12.8 or later; link with `optscope::cuda`.

#include <optscope/backend/backend.hpp>
#include <optscope/backend/cuda_backend.hpp>
#include <optscope/backend/cuda_device.hpp>

namespace optscope {

/// Arithmetic on an NVIDIA GPU, in float and double: `backend_for` says what each member does, `cuda_settings` what can
/// be chosen. Weights stay on the device as they are stored, or, where they do not fit, go there layer by layer.
///
///     model<any_opt, float, cuda> opt{checkpoint{argv[1]}, cuda{{.mode = cuda_mode::split}}};
///
/// The first use on a kind of device compiles the kernels, some seconds, and keeps them in the user's cache folder.
/// Throws `cuda_error`, or the types of it in cuda_errors.hpp.
///
/// Bits: the same for one kind of device and one toolkit, whatever the batch.
using cuda = basic_cuda<detail::cuda_device>;

static_assert(gradient_backend_for<cuda, float> && gradient_backend_for<cuda, double>);

}  // namespace optscope

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The device that a command works on.
#ifndef BQ_TOOLS_BQC_DEVICE_H
#define BQ_TOOLS_BQC_DEVICE_H

#include "dialect/core/Status.h"

#include <ATen/core/ATen_fwd.h>
#include <c10/core/Device.h>

#include <string>

namespace bq::cli {

/// The device that `--device cpu` or `--device cuda` names, ready for use: the first GPU is one that the driver, bq and
/// LibTorch can all use. Unsupported says in one sentence what is missing for it; InvalidArgument where the name is
/// another.
Expected<at::Device> openDevice(const std::string &name);

/// Waits until a GPU has done all it was given; nothing for the CPU.
void synchronize(at::Device device);

/// The model's name of a GPU that openDevice() has opened, such as "NVIDIA H200".
std::string gpuName(at::Device device);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DEVICE_H

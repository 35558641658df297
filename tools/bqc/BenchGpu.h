// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// bqc bench linear --device cuda.
#ifndef BQ_TOOLS_BQC_BENCHGPU_H
#define BQ_TOOLS_BQC_BENCHGPU_H

#include "codegen/KernelSpec.h"
#include "tools/bqc/Commands.h"

#include <c10/core/Device.h>

namespace bq::cli {

/// Measures and prints; returns the exit code. Throws what LibTorch throws.
int benchOnGpu(const BenchOptions &command, const KernelSpec &spec, at::Device device);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_BENCHGPU_H

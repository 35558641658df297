// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// `bqc bench conv2d`.
#ifndef BQ_TOOLS_BQC_BENCHCONV2D_H
#define BQ_TOOLS_BQC_BENCHCONV2D_H

#include "tools/bqc/Commands.h"

namespace bq::cli {

/// Measures a convolution on the CPU beside LibTorch's own on the same data, in float; the exit code. Throws what
/// LibTorch throws.
int benchConv2d(const BenchOptions &command);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_BENCHCONV2D_H

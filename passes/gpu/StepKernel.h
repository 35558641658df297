// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a caller must know of the kernels of bq.update for GPUs.
#ifndef BQ_PASSES_GPU_STEPKERNEL_H
#define BQ_PASSES_GPU_STEPKERNEL_H

#include "dialect/BQDialect.h"
#include "dialect/core/KernelAbi.h"

namespace bq {

/// What blocks of threads begin at a multiple of, in columns: whole blocks of moments and of random numbers.
constexpr int64_t stepUnit = abi::momentBlock;

/// Bytes for the new values of a row, while these wait for its new scales, where that is more than a block keeps in
/// shared memory; else 0. A multiple of 32.
int64_t updateValueBytes(UpdateOp op);

} // namespace bq

#endif // BQ_PASSES_GPU_STEPKERNEL_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Codes of the format `mixed` to values and back, for kernels for GPUs.
#ifndef BQ_PASSES_GPU_MIXEDCODES_H
#define BQ_PASSES_GPU_MIXEDCODES_H

#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// Writes cuda::MixedQuantizeFn for groups of this size; 0 = one group. A thread does eight codes of one width, which
/// are whole bytes of any number of groups.
void writeMixedLevels(GpuBuilder &b, mlir::Type dataType, int64_t group, llvm::StringRef name);
/// Writes cuda::MixedDequantizeFn in the same way. A thread does every 128th of a block's elements.
void writeMixedValues(GpuBuilder &b, int64_t group, llvm::StringRef name);

} // namespace bq

#endif // BQ_PASSES_GPU_MIXEDCODES_H

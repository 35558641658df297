// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of the format `mixed` on a GPU with arguments on the host.
#ifndef BQ_TEST_GPU_MIXEDCALLS_H
#define BQ_TEST_GPU_MIXEDCALLS_H

#include "runtime/MixedQuantizeArgs.h"
#include "runtime/cuda/CudaRows.h"
#include "test/gpu/DeviceMemory.h"

namespace bq::test {

/// Backend::dequantize of a verified weight of that format, of one row or more, on the device of `memory` and `rows`.
Status dequantizeMixed(const DeviceMemory &memory, CudaRows &rows, const CanonicalWeight &weight, float *y);
/// Backend::embedding in the same way: all rows are made, and those of valid indices taken.
Status embedMixed(const DeviceMemory &memory, CudaRows &rows, const CanonicalWeight &weight, const int64_t *indices,
                  int64_t count, float *y);
/// MixedQuantizer::quantizeMixed there.
Status quantizeMixed(const DeviceMemory &memory, CudaRows &rows, const MixedQuantizeArgs &args);

} // namespace bq::test

#endif // BQ_TEST_GPU_MIXEDCALLS_H

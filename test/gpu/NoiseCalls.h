// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise on a GPU with arguments on the host.
#ifndef BQ_TEST_GPU_NOISECALLS_H
#define BQ_TEST_GPU_NOISECALLS_H

#include "runtime/DiffqNoiseArgs.h"
#include "runtime/cuda/CudaRows.h"
#include "test/gpu/DeviceMemory.h"

namespace bq::test {

/// Backend::diffqNoise, diffqNoiseGrad and weightRange on the device of `memory` and `rows`.
Status runDiffqNoise(const DeviceMemory &memory, CudaRows &rows, const DiffqNoiseArgs &args);
Status runDiffqNoiseGrad(const DeviceMemory &memory, CudaRows &rows, const DiffqNoiseGradArgs &args);
Status runWeightRange(const DeviceMemory &memory, CudaRows &rows, const WeightRangeArgs &args);

} // namespace bq::test

#endif // BQ_TEST_GPU_NOISECALLS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Fake quantization on a GPU with arguments on the host.
#ifndef BQ_TEST_GPU_FAKEQUANTIZECALLS_H
#define BQ_TEST_GPU_FAKEQUANTIZECALLS_H

#include "runtime/cuda/CudaRows.h"
#include "test/gpu/DeviceMemory.h"

namespace bq::test {

/// Backend::fakeQuantize and fakeQuantizeGrad on the device of `memory` and `rows`.
Status runFakeQuantize(const DeviceMemory &memory, CudaRows &rows, const FakeQuantizeArgs &args);
Status runFakeQuantizeGrad(const DeviceMemory &memory, CudaRows &rows, const FakeQuantizeGradArgs &args);

} // namespace bq::test

#endif // BQ_TEST_GPU_FAKEQUANTIZECALLS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The first GPU of the driver as a backend on the host's memory, for tests.
#ifndef BQ_TEST_GPU_CUDABACKEND_H
#define BQ_TEST_GPU_CUDABACKEND_H

#include "runtime/Backend.h"

namespace bq {

/// Named "cuda". Every call copies its operands to blocks of their own on the device, and its results back, by way of
/// the runtime that serves LibTorch. Compute i16 is Unsupported. Unsupported where there is no driver or no GPU, in the
/// driver's own words; otherwise errors are those of CudaKernels::process(). Lives as long as the process.
Expected<Backend *> cudaBackend();

} // namespace bq

#endif // BQ_TEST_GPU_CUDABACKEND_H

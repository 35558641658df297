// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The signatures of generated kernels for GPUs that take a step of an optimizer (`bq.update`). As in CudaAbi.h
/// pointers are to memory of the device, and those that a spec does not need may be null.
///
/// A step is up to four kernels, in this order: <name>_check, for the gradient; where the scale is that of the tensor
/// <name>_moments, which leaves the codes, and <name>_scale; then <name>. All but the first are launched in any case:
/// they change nothing where `found` is not zero.
#ifndef BQ_DIALECT_CORE_CUDAUPDATEABI_H
#define BQ_DIALECT_CORE_CUDAUPDATEABI_H

#include <cstdint>

namespace bq::cuda {

/// Elements of a gradient that a block of threads looks at.
constexpr int64_t gradientChunk = 4096;

/// Looks for NaN and infinity in a gradient of `count` elements: where there are any, `found` and `report` become
/// ticket + the place of one of them, each in one access; else nothing is written. `report` may be memory of the host
/// that the device can write. A row of the launch is a chunk.
using GradientCheckFn = void (*)(const void *gradient, int64_t *found, int64_t *report, int64_t ticket, int64_t count);

/// As abi::UpdateFn, with one block of threads or several for each row: what abi::UpdateOptions and the counter have
/// comes by value, `rate` with the correction where the op has it. `rowScales`: f32 [n + 1] where the scale is that of
/// the tensor; <name>_moments writes what each row wants to the first n, and <name> reads that of all from the last.
/// `values`: Artifact::scratchBytes for each row, aligned to 16 bytes; null where that is 0. `count`: rows of a
/// quantized weight, elements of a weight of floats.
using UpdateFn = void (*)(const void *gradient, void *weight, uint8_t *codes, void *scales, void *zeros,
                          int8_t *residual, void *m, float *mScales, void *v, float *vScales, const int64_t *found,
                          float *rowScales, float *values, float rate, float keep, float beta1, float fresh1,
                          float beta2, float fresh2, float epsilon, int32_t seedLow, int32_t seedHigh, int32_t step,
                          int64_t count);

/// From what each of `count` rows wants to the scale that is stored, rowScales[count]. One row to launch.
using TensorScaleFn = void (*)(float *rowScales, int64_t count);

} // namespace bq::cuda

#endif // BQ_DIALECT_CORE_CUDAUPDATEABI_H

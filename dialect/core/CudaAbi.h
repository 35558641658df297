// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The signatures of generated kernels for GPUs, and the memory they expect. Shared by passes and runtime.
///
/// Pointers are to memory of the device; those that a spec does not need may be null. 16-bit floats are passed as their
/// bits. The grid is that of Artifact::GpuKernel.
#ifndef BQ_DIALECT_CORE_CUDAABI_H
#define BQ_DIALECT_CORE_CUDAABI_H

#include <cstdint>

namespace bq::cuda {

/// A weight's values by code; filled by the runtime for table formats (nf4, fp4, lut). Shorter tables are repeated.
struct WeightTable {
  float f32[16];
  /// Of byte i: the values of code i % 16 in the lower half and of code i / 16 in the upper, as bf16.
  uint32_t bf16Pairs[256];
  /// Of byte i the same as round(value / max * 127) + 128, in the lower and the upper byte.
  uint16_t i8Pairs[256];
  float i8Scale; ///< max / 127
};

/// Activations of a linear layer as its kernel reads them, where it does not take x itself: rows of
/// FragmentLayout::paddedColumns() elements in the order of its segments, padded with zeros. bf16, or for i8 fixed
/// point with rowScales [m], value of one unit; of every eight bytes the order is 0 4 1 5 2 6 3 7. `columnScale`: f32
/// [k] for formats with a column scale; `permutation`: column of x for each column of the weight, for permuted specs.
/// One block of threads for each row. 16-byte aligned.
using PrepareFn = void (*)(const void *x, const int32_t *permutation, const float *columnScale, void *panel,
                           float *rowScales, int64_t xStride, int32_t m);

/// Codes in the order of FragmentLayout, scales and zero points too. `x`: the panel of PrepareFn, or the activations as
/// they are (Artifact says which), `xStride` elements apart. `bias`: f32 [n]. `y` has m rows of n elements, `yStride`
/// apart. Where the sum over K is split: `workspace` f32 [splits, m, n], and `counters` i32, one for each block of
/// threads but for splits, zero before and after.
using LinearFn = void (*)(const void *codes, const void *scales, const void *zeros, const WeightTable *table,
                          const float *bias, const void *x, const float *rowScales, const int32_t *permutation,
                          const float *columnScale, void *y, float *workspace, int32_t *counters, int64_t xStride,
                          int64_t yStride, int32_t m);

/// y[i, :] = W[indices[i], :], canonical weight; each index is a valid row. `table`: f32 [2^bits] for table formats.
/// `y` is contiguous, of the scales' type, 16-byte aligned; codes need no alignment, nor do they elsewhere below.
using EmbeddingFn = void (*)(const int64_t *indices, const uint8_t *codes, const void *scales, const void *zeros,
                             const float *table, const float *columnScale, void *y, int64_t count);

/// Rows [0, rows) of the canonical weight; otherwise as EmbeddingFn.
using DequantizeFn = void (*)(const uint8_t *codes, const void *scales, const void *zeros, const float *table,
                              const float *columnScale, void *y, int64_t rows);

/// Rows of the float weight, `stride` elements apart. For `sign` only codes are written.
using QuantizeFn = void (*)(const void *weight, uint8_t *codes, void *scales, uint8_t *zeros, int64_t stride,
                            int64_t rows);

} // namespace bq::cuda

#endif // BQ_DIALECT_CORE_CUDAABI_H

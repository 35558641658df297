// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The C signatures of generated kernels, and the memory they expect. Shared by passes and runtime.
///
/// Every kernel does tasks [begin, end): calls on disjoint ranges may run on different threads at once. Kernels never
/// allocate, throw, or write anything but their outputs and scratch. Pointers that a spec does not need may be null.
#ifndef BQ_DIALECT_CORE_KERNELABI_H
#define BQ_DIALECT_CORE_KERNELABI_H

#include <cstdint>

namespace bq::abi {

/// Each number of rows of x up to this has a linear kernel of its own; one kernel serves all above.
constexpr int maxExactRows = 8;

/// A weight's values by code, in every form a kernel reads; 64-byte aligned. Filled by the runtime for table formats
/// (nf4, fp4, lut); tables shorter than 16 entries are repeated.
struct WeightTable {
  float f32[16];
  uint16_t bf16[32];   ///< f32 rounded to bf16, twice: a lookup takes five bits and may see one of a neighbour.
  uint8_t i8[16];      ///< round(f32 / max * 127) + 128
  uint8_t i16High[16]; ///< With i16Low: round(f32 / max * 32767) + 32768, high and low byte.
  uint8_t i16Low[16];
  float i8Scale;  ///< max / 127
  float i16Scale; ///< max / 32767
};

/// The activations of a linear layer, converted once for all tasks. Written by PrepareFn, read by LinearFn.
///
/// `data`: [segment][row][Layout::segmentSize] elements of the compute's type, columns in the order of the layout's
/// segments, zeros where padded: f32; bf16 (pairs in the order of the layout, in place); i8; i16 as two such arrays of
/// 8 bits, high plane then low plane, value 128 * high + low.
/// `sums`: [segment][row] sum of the converted row over the segment: i32 for i8 and i16; f32 for bf16 with zero points
/// of its own; else neither written nor read.
/// `scales`: [row] f32, value of one unit of the fixed point; for f32 and bf16 not read.
/// Rows from m to the padded number of rows are zero.
struct Panel {
  void *data;
  void *sums;
  float *scales;
};

/// Tasks are rows [0, paddedRows) of the panel. `x` has m rows of k elements, `xStride` elements apart. `permutation`:
/// column of x for each column of the weight, for permuted specs. `columnScale`: f32 [k] for formats with a column
/// scale. `scratch`: Artifact::prepareScratchBytes for each thread, 64-byte aligned.
using PrepareFn = void (*)(const void *x, const int32_t *permutation, const float *columnScale, void *panelData,
                           void *panelSums, float *panelScales, void *scratch, int64_t xStride, int64_t m,
                           int64_t paddedRows, int64_t begin, int64_t end);

/// Tasks are blocks of rows of the weight, Artifact::tasks in all. Codes are those of Layout, but for `int` formats
/// with the sign bit flipped: value + 2^(bits-1). `codes`, `scales`, `zeros` in the order of Layout, 64-byte aligned.
/// `bias`: f32 [n]. `y` has m rows of n elements, `yStride` elements apart. `scratch`: Artifact::scratchBytes for each
/// thread, 64-byte aligned.
using LinearFn = void (*)(const uint8_t *codes, const void *scales, const void *zeros, const WeightTable *table,
                          const float *bias, const void *panelData, const void *panelSums, const float *panelScales,
                          void *y, void *scratch, int64_t yStride, int64_t m, int64_t paddedRows, int64_t begin,
                          int64_t end);

/// Tasks are entries of `indices`, each a valid row of the canonical weight. `columnScale` as in PrepareFn.
/// Nothing is read past the weight's own bytes.
using EmbeddingFn = void (*)(const int64_t *indices, const uint8_t *codes, const void *scales, const void *zeros,
                             const float *table, const float *columnScale, void *y, int64_t begin, int64_t end);

/// Tasks are rows of the canonical weight; otherwise as EmbeddingFn.
using DequantizeFn = void (*)(const uint8_t *codes, const void *scales, const void *zeros, const float *table,
                              const float *columnScale, void *y, int64_t begin, int64_t end);

/// Tasks are rows of the float weight, `stride` elements apart. For `sign` only codes are written.
using QuantizeFn = void (*)(const void *weight, uint8_t *codes, void *scales, uint8_t *zeros, int64_t stride,
                            int64_t begin, int64_t end);

} // namespace bq::abi

#endif // BQ_DIALECT_CORE_KERNELABI_H

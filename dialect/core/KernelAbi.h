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
/// The number of rows that the kernel for an x of m rows is made for; 0 = any number.
constexpr int kernelRows(int64_t m) { return m <= maxExactRows ? static_cast<int>(m) : 0; }

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

/// Where the rows of a product come from that is a convolution. Images have `height` lines of `width` pixels of C
/// channels each; channels lie one after the other, all else as the strides say, in elements. Row
///
///   o = (b * outHeight + oy) * outWidth + ox
///
/// of the product is the patch of an output pixel. Its column k = (r * kernelWidth + s) * C + i, of
/// K = kernelHeight * kernelWidth * C, is channel i of pixel (y, x) of image b, where
///
///   y = (oy * multiply[0] + offset[0] + r * tapStep[0]) / divide[0]
///   x = (ox * multiply[1] + offset[1] + s * tapStep[1]) / divide[1]
///
/// divide without remainder and lie inside the image; else it is padding: 0, or where activations are quantized with
/// one scale the code `padCode`.
///
/// A convolution has multiply = stride, divide = 1, offset = -padding and tapStep = dilation. Its gradient with respect
/// to the input has images of dy, output pixels of the input, multiply = 1, divide = stride, offset = padding and
/// tapStep = -dilation. Kernels read the fields by their place.
struct Conv2dGeometry {
  int64_t batch = 0, height = 0, width = 0;
  int64_t batchStride = 0, rowStride = 0, columnStride = 0; ///< Between images, lines and pixels.
  int64_t outHeight = 0, outWidth = 0;
  int64_t kernelHeight = 1, kernelWidth = 1; ///< Compiled into kernels.
  int64_t multiply[2] = {1, 1}, divide[2] = {1, 1}, offset[2] = {0, 0}, tapStep[2] = {1, 1};
  int64_t padCode = 0;
  /// Above 1: the product is that of all groups of a convolution (DirectConv2d.h). Row n of the weight, of N, meets
  /// channels n / (N / groups) * C + i of a pixel. Compiled into kernels.
  int64_t groups = 1;

  /// Rows of the product.
  int64_t pixels() const { return batch * outHeight * outWidth; }
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

/// Tasks are rows [0, paddedRows) of the panel, of which the first m are rows firstRow, firstRow + 1, ... of x. Those
/// have k elements and are `xStride` elements apart; or they are the patches that `geometry` says. `permutation`:
/// column of x for each column of the weight, for permuted specs. `columnScale`: f32 [k] for formats with a column
/// scale, and for specs with column factors. `activationScale`: one f32, for specs with static activations. `scratch`:
/// Artifact::prepareScratchBytes for each thread, 64-byte aligned.
using PrepareFn = void (*)(const void *x, const int32_t *permutation, const float *columnScale,
                           const float *activationScale, const Conv2dGeometry *geometry, void *panelData,
                           void *panelSums, float *panelScales, void *scratch, int64_t xStride, int64_t firstRow,
                           int64_t m, int64_t paddedRows, int64_t begin, int64_t end);

/// Tasks are blocks of rows of the weight, Artifact::tasks in all. Codes are those of Layout, but for `int` formats
/// with the sign bit flipped: value + 2^(bits-1). `codes`, `scales`, `zeros` in the order of Layout, 64-byte aligned.
/// `bias`: f32 [n]. `y` has m rows of n elements, `yStride` elements apart. `scratch`: Artifact::scratchBytes for each
/// thread, 64-byte aligned. For `mixed`: `codes` are the canonical stream, `scales` its two, and `zeros` and `table`
/// the ranks and the places of MixedIndex.
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

/// Columns of a row that are one task of fake quantization; the last of a row may have fewer.
constexpr int64_t fakeQuantizeChunk = 4096;

/// Tasks are chunks of columns, row after row. `x` and `y` have `columns` elements in a row, rows one after the other.
/// `scale` and `zero`: of each row.
using FakeQuantizeFn = void (*)(const void *x, const float *scale, const float *zero, void *y, int64_t columns,
                                int64_t begin, int64_t end);

/// Tasks as in FakeQuantizeFn. `gradient`, `x` and `xGradient` have the shape of x. `partials`: for each task its part
/// of the gradient of the row's scale.
using FakeQuantizeGradFn = void (*)(const void *gradient, const void *x, const float *scale, const float *zero,
                                    void *xGradient, float *partials, int64_t columns, int64_t begin, int64_t end);

/// Columns of a row, or elements of a float weight, that share the scale of their 8-bit moments.
constexpr int64_t momentBlock = 256;
/// Elements of a float weight that are one task of a step: a row of it.
constexpr int64_t denseUpdateRow = 1024;

/// The numbers of one step, computed once by the caller; kernels read them by their place.
struct UpdateOptions {
  float rate = 0;              ///< The learning rate.
  float correction = 1;        ///< sqrt(1 - beta2^t) / (1 - beta1^t)
  float keep = 1;              ///< 1 - rate * weight decay
  float beta1 = 0, fresh1 = 1; ///< And 1 - beta1.
  float beta2 = 0, fresh2 = 1; ///< And 1 - beta2.
  float epsilon = 0;
  float scale = 1; ///< The new scale of all rows, where a scale is that of the tensor.
};
constexpr int64_t updateOptions = sizeof(UpdateOptions) / sizeof(float);

/// One optimizer step (`bq.update`). Tasks are rows of the canonical weight, or of a float weight of `count` elements
/// rows of denseUpdateRow. All tensors are contiguous. `weight`: the float weight, else null. `m`, `v`: of the type of
/// the moments, with scales for 8 bits; null without. `counter`: seed (two words), step and 0.
///
/// Where the scale is that of the tensor there are two such functions: <name>_prepare steps the moments and writes the
/// greatest absolute value of each row's new weights to `rowMax`; <name> then writes codes, with UpdateOptions::scale.
/// `scratch`: Artifact::scratchBytes for each thread, 64-byte aligned.
using UpdateFn = void (*)(const void *gradient, void *weight, uint8_t *codes, void *scales, void *zeros,
                          int8_t *residual, void *m, float *mScales, void *v, float *vScales,
                          const UpdateOptions *options, const uint32_t *counter, float *rowMax, void *scratch,
                          int64_t count, int64_t begin, int64_t end);

/// Rows of a weight that are one task of sums of magnitudes; the last task may have fewer.
constexpr int64_t magnitudeChunk = 64;

/// Tasks are chunks of rows (`bq.magnitude_sums`). `weight` has n rows of k elements, `stride` elements apart.
/// `rowFactors`, `rows` and `next`: [n]; `columnFactors`: [k]; `partials`: [tasks, k].
using MagnitudeSumsFn = void (*)(const void *weight, const float *rowFactors, const float *columnFactors, float *rows,
                                 float *next, float *partials, float floor, int64_t stride, int64_t n, int64_t begin,
                                 int64_t end);

} // namespace bq::abi

#endif // BQ_DIALECT_CORE_KERNELABI_H

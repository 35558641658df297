// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The signatures of generated kernels for GPUs, and the memory they expect. Shared by passes and runtime.
///
/// Pointers are to memory of the device; those that a spec does not need may be null. 16-bit floats are passed as their
/// bits. The grid is that of Artifact::GpuKernel.
#ifndef BQ_DIALECT_CORE_CUDAABI_H
#define BQ_DIALECT_CORE_CUDAABI_H

#include "dialect/core/KernelAbi.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace bq::cuda {

/// Linear kernels are made for one number of rows of x up to this, and for any number.
constexpr int maxExactRows = 16;
/// The number of rows that the kernel for an x of m rows is made for: each has its own up to eight, which is what an
/// operand of a tensor instruction holds, then one kernel serves all up to 16; 0 = any number, for those above.
constexpr int kernelRows(int64_t m) { return m <= 8 ? static_cast<int>(m) : m <= maxExactRows ? maxExactRows : 0; }

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
/// `activationScale`: one f32, for specs with static activations. One block of threads for each row. 16-byte aligned.
using PrepareFn = void (*)(const void *x, const int32_t *permutation, const float *columnScale,
                           const float *activationScale, void *panel, float *rowScales, int64_t xStride, int32_t m);

/// Codes in the order of FragmentLayout, scales and zero points too. `x`: rows as PrepareFn makes them, or the
/// activations as they are (Artifact says which), `xStride` elements apart. `bias`: f32 [n]. `y` has m rows of n
/// elements, `yStride` apart. Where the sum is split: `workspace` f32 [splits, m, n], and `counters` i32, one for each
/// block of threads but for splits, zero before and after. A gradient's x has m rows of n elements, y of k, and
/// `workspace` is [splits, m, paddedColumns()].
using LinearFn = void (*)(const void *codes, const void *scales, const void *zeros, const WeightTable *table,
                          const float *bias, const void *x, const float *rowScales, const int32_t *permutation,
                          const float *columnScale, void *y, float *workspace, int32_t *counters, int64_t xStride,
                          int64_t yStride, int32_t m);

/// What a kernel whose rows of x are patches takes of abi::Conv2dGeometry: its strides; then 32-bit numbers, the first
/// of them the row of the product that the kernel's first row is.
struct PatchArguments {
  std::array<int64_t, 3> strides; ///< batchStride, rowStride, columnStride
  /// firstRow, outHeight, outWidth, padCode; then for lines and for pixels size, multiply, divide, offset, tapStep.
  std::array<int32_t, 14> numbers;
};
inline PatchArguments patchArguments(const abi::Conv2dGeometry &g, int64_t firstRow) {
  PatchArguments arguments{{g.batchStride, g.rowStride, g.columnStride}, {}};
  size_t next = 0;
  for (int64_t number : {firstRow, g.outHeight, g.outWidth, g.padCode})
    arguments.numbers[next++] = static_cast<int32_t>(number);
  for (int axis = 0; axis < 2; ++axis)
    for (int64_t number :
         {axis ? g.width : g.height, g.multiply[axis], g.divide[axis], g.offset[axis], g.tapStep[axis]})
      arguments.numbers[next++] = static_cast<int32_t>(number);
  return arguments;
}

/// A kernel's signature with PatchArguments, one by one, behind the others: PrepareFn, and LinearFn where it reads x.
template <typename Fn, typename Numbers = std::make_index_sequence<14>>
struct WithPatches;
template <typename... Arguments, size_t... I>
struct WithPatches<void (*)(Arguments...), std::index_sequence<I...>> {
  template <size_t>
  using Number = int32_t;
  using Fn = void (*)(Arguments..., int64_t, int64_t, int64_t, Number<I>...);
};

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

/// A canonical weight [n, k] to codes, scales and zero points in the order of FragmentLayout, 16-byte aligned, padding
/// included: nothing of them need be zero before. `scales` of formats with a column scale are those of n rows, then of
/// k columns; the latter are written to `columnScale`, f32 [k]. `permutation`: as PrepareFn. The grid counts blocks of
/// 16 rows.
using PrepackFn = void (*)(const uint8_t *codes, const void *scales, const void *zeros, const int32_t *permutation,
                           void *packedCodes, void *packedScales, void *packedZeros, float *columnScale, int64_t n);

/// As abi::FakeQuantizeFn, with one block of threads for each task; a row of the launch is a task.
using FakeQuantizeFn = void (*)(const void *x, const float *scale, const float *zero, void *y, int64_t columns);

/// As abi::FakeQuantizeGradFn, with one block of threads for each task; a row of the launch is a task.
using FakeQuantizeGradFn = void (*)(const void *gradient, const void *x, const float *scale, const float *zero,
                                    void *xGradient, float *partials, int64_t columns);

} // namespace bq::cuda

#endif // BQ_DIALECT_CORE_CUDAABI_H

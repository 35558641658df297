// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels with the signatures of the real ones and a meaning that is easy to check, compiled to the object that the
// tests' compiler hands out. They have constants of their own, so that there is something to relocate.
#include "dialect/core/KernelAbi.h"

#define ENTRY extern "C" __attribute__((visibility("default")))

namespace {
constexpr int64_t n = 37, k = 6; // as in Support.h
constexpr int64_t tasks = 5;
alignas(64) const float weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
} // namespace

/// The panel's data are the rows of x; its sums and scales count the rows that were prepared.
ENTRY void test_linear_prepare(const void *x, const int32_t *permutation, const float *, const float *,
                               const bq::abi::Conv2dGeometry *, void *panelData, void *panelSums, float *panelScales,
                               void *scratch, int64_t xStride, int64_t firstRow, int64_t m, int64_t, int64_t begin,
                               int64_t end) {
  static_cast<volatile char *>(scratch)[63] = 1;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < k; ++i)
      static_cast<float *>(panelData)[row * k + i] =
          row < m ? static_cast<const float *>(x)[(firstRow + row) * xStride + (permutation ? permutation[i] : i)] : 0;
    static_cast<float *>(panelSums)[row] = row < m ? 1 : 0;
    panelScales[row] = row < m ? 2 : 0;
  }
}

/// y[m, n] = (sum over k of x[m, k] * weights[k]) + 1000 * n + bias[n], in five tasks of eight rows of the weight.
ENTRY void test_linear(const uint8_t *, const void *, const void *, const bq::abi::WeightTable *, const float *bias,
                       const void *panelData, const void *panelSums, const float *panelScales, void *y, void *scratch,
                       int64_t yStride, int64_t m, int64_t, int64_t begin, int64_t end) {
  static_cast<volatile char *>(scratch)[127] = 1;
  for (int64_t row = 0; row < m; ++row) {
    float sum = 0;
    for (int64_t i = 0; i < k; ++i)
      sum += static_cast<const float *>(panelData)[row * k + i] * weights[i];
    sum *= static_cast<const float *>(panelSums)[row] * panelScales[row] * 0.5f;
    for (int64_t column = begin * 8; column < end * 8 && column < n; ++column)
      static_cast<float *>(y)[row * yStride + column] = sum + 1000.0f * column + (bias ? bias[column] : 0);
  }
}

/// int8 codes in groups of two with f32 scales.
ENTRY void test_dequantize(const uint8_t *codes, const void *scales, const void *, const float *, const float *,
                           void *y, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    for (int64_t i = 0; i < k; ++i)
      static_cast<float *>(y)[row * k + i] =
          static_cast<const float *>(scales)[row * (k / 2) + i / 2] * static_cast<int8_t>(codes[row * k + i]);
}

ENTRY void test_embedding(const int64_t *indices, const uint8_t *codes, const void *scales, const void *zeros,
                          const float *table, const float *columnScale, void *y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    test_dequantize(codes + indices[i] * k, static_cast<const float *>(scales) + indices[i] * (k / 2), zeros, table,
                    columnScale, static_cast<float *>(y) + i * k, 0, 1);
}

/// Codes are the weights themselves, scales are 1.
ENTRY void test_quantize(const void *weight, uint8_t *codes, void *scales, uint8_t *, int64_t stride, int64_t begin,
                         int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    for (int64_t i = 0; i < k; ++i) {
      codes[row * k + i] = static_cast<uint8_t>(static_cast<int>(static_cast<const float *>(weight)[row * stride + i]));
      static_cast<float *>(scales)[row * (k / 2) + i / 2] = 1;
    }
}

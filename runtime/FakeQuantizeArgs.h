// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a call of fake quantization, or of its gradient, is told.
#ifndef BQ_RUNTIME_FAKEQUANTIZEARGS_H
#define BQ_RUNTIME_FAKEQUANTIZEARGS_H

#include "dialect/core/Format.h"
#include "dialect/core/Types.h"

#include <cstdint>

namespace bq {

struct FakeQuantizeArgs {
  Format format;                           ///< int, uint or sign, without a group size.
  ElementType dataType = ElementType::F32; ///< Of x, of y, and of their gradients.
  int64_t rows = 0, columns = 0;
  const void *x = nullptr;      ///< [rows, columns], contiguous, as all of that shape
  const float *scale = nullptr; ///< [rows]
  const float *zero = nullptr;  ///< [rows], or null; null for sign
  void *y = nullptr;            ///< [rows, columns]; for the gradient not used

  /// Whether the fields fit each other, but for `y`; errors name field, value and rule.
  Status verify() const;
  /// Tasks of the kernels: abi::fakeQuantizeChunk columns of a row each.
  int64_t tasksPerRow() const;
  int64_t tasks() const { return rows * tasksPerRow(); }
};

struct FakeQuantizeGradArgs {
  FakeQuantizeArgs forward;
  const void *gradient = nullptr; ///< [rows, columns], with respect to y
  void *xGradient = nullptr;      ///< [rows, columns]
  float *scaleGradient = nullptr; ///< [rows]

  Status verify() const;
};

} // namespace bq

#endif // BQ_RUNTIME_FAKEQUANTIZEARGS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Scale and zero point of a group of weights, from their range: what bq.quantize and bq.update have in common.
#ifndef BQ_PASSES_CPU_GROUPCODE_H
#define BQ_PASSES_CPU_GROUPCODE_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// What a group's greatest magnitude is divided by to give its scale; of uint, its whole range.
float scaleDivisor(const Format &format);

/// `raw`, an f32 scalar, as a scale is stored: a normal number of the type; 1 for a group of zeros.
mlir::Value writeStoredScale(KernelBuilder &b, mlir::Value raw, mlir::Value isZero, mlir::Type scaleType);

/// The nearest integer, ties to even, of a number below 2^22; f32, scalar or vector.
mlir::Value writeRound(KernelBuilder &b, mlir::Value x);
/// The lesser and the greater of two numbers that are not NaN; f32, scalars or vectors.
mlir::Value writeLesser(KernelBuilder &b, mlir::Value l, mlir::Value r);
mlir::Value writeGreater(KernelBuilder &b, mlir::Value l, mlir::Value r);
/// The greater of |x| and |most|: vectors of 16 x f32.
mlir::Value writeGreaterSize(KernelBuilder &b, mlir::Value x, mlir::Value most);
/// The greatest lane of a vector without negative numbers; f32.
mlir::Value writeGreatestLane(KernelBuilder &b, mlir::Value sizes);

} // namespace bq

#endif // BQ_PASSES_CPU_GROUPCODE_H

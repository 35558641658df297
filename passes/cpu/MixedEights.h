// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eight fields of a bit stream at a time, with AVX2.
#ifndef BQ_PASSES_CPU_MIXEDEIGHTS_H
#define BQ_PASSES_CPU_MIXEDEIGHTS_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// How eight fields of up to 15 bits, one after the other, are taken from the sixteen bytes that begin with the byte of
/// the first.
struct MixedEights {
  mlir::Value order;  ///< i8 [32]: the bytes that each field lies in.
  mlir::Value shifts; ///< i32 [8]
  mlir::Value mask;   ///< i32 [8]

  /// Of fields of `width` bits, the first of which begins at bit `start` of its byte or of the stream: i64.
  static MixedEights get(KernelBuilder &b, mlir::Value start, mlir::Value width);
  /// The fields in `bytes`, i8 [16]: i32 [8].
  mlir::Value fieldsOf(KernelBuilder &b, mlir::Value bytes) const;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDEIGHTS_H

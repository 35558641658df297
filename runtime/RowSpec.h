// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a call that works row by row to the kernel it needs, for every backend.
#ifndef BQ_RUNTIME_ROWSPEC_H
#define BQ_RUNTIME_ROWSPEC_H

#include "codegen/KernelSpec.h"
#include "runtime/Backend.h"

namespace bq {

/// `op`: Embedding or Dequantize. `weight`: a CanonicalWeight, or a backend's own with these fields.
template <typename Weight>
KernelSpec rowSpec(KernelSpec::Op op, const Weight &weight) {
  KernelSpec spec;
  spec.op = op;
  spec.format = weight.format;
  spec.k = weight.k;
  spec.scaleType = weight.scaleType;
  spec.zeroType = weight.zeroType;
  return spec;
}

inline KernelSpec quantizeSpec(const QuantizeArgs &args) {
  KernelSpec spec;
  spec.op = KernelSpec::Op::Quantize;
  spec.format = args.format;
  spec.k = args.k;
  spec.dataType = args.dataType;
  // Only codes are written for sign, whatever the type of the scales.
  spec.scaleType = args.format.hasColumnScale() ? ElementType::F32 : args.scaleType;
  spec.zeroType = args.format.hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  return spec;
}

} // namespace bq

#endif // BQ_RUNTIME_ROWSPEC_H

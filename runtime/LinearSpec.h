// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a call of a linear layer to the kernel it needs, for every backend.
#ifndef BQ_RUNTIME_LINEARSPEC_H
#define BQ_RUNTIME_LINEARSPEC_H

#include "codegen/KernelSpec.h"
#include "runtime/Backend.h"

namespace bq {

/// The spec of the kernel for `args` on a prepacked weight [n, k]; `permuted`: its columns are in the order of groups.
inline KernelSpec linearSpec(const Format &format, int64_t n, int64_t k, ElementType scaleType, ZeroPointType zeroType,
                             bool permuted, const LinearArgs &args) {
  KernelSpec spec;
  spec.op = KernelSpec::Op::Linear;
  spec.format = format;
  spec.n = n;
  spec.k = k;
  spec.dataType = args.dataType;
  spec.scaleType = scaleType;
  spec.zeroType = zeroType;
  spec.compute = args.compute;
  spec.rows = KernelSpec::rowsFor(args.m);
  spec.hasBias = args.bias != nullptr;
  spec.activation = args.activation;
  spec.permuted = permuted;
  return spec;
}

} // namespace bq

#endif // BQ_RUNTIME_LINEARSPEC_H

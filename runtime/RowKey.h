// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What tells apart the kernels that a backend has for canonical weights, for KernelTable.
#ifndef BQ_RUNTIME_ROWKEY_H
#define BQ_RUNTIME_ROWKEY_H

#include "codegen/KernelSpec.h"

namespace bq {

/// The fields of a KernelSpec that embedding, dequantize, quantize and prepack have.
struct RowKey {
  KernelSpec::Op op;
  Format format;
  int64_t k;
  ElementType dataType, scaleType;
  ZeroPointType zeroType;
  bool permuted;

  explicit RowKey(const KernelSpec &spec)
      : op(spec.op), format(spec.format), k(spec.k), dataType(spec.dataType), scaleType(spec.scaleType),
        zeroType(spec.zeroType), permuted(spec.permuted) {}
  friend bool operator==(const RowKey &l, const RowKey &r) {
    return l.op == r.op && l.format == r.format && l.k == r.k && l.dataType == r.dataType &&
           l.scaleType == r.scaleType && l.zeroType == r.zeroType && l.permuted == r.permuted;
  }
};

} // namespace bq

#endif // BQ_RUNTIME_ROWKEY_H

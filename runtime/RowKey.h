// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What tells apart the kernels that a backend has for what is done row by row, for KernelTable.
#ifndef BQ_RUNTIME_ROWKEY_H
#define BQ_RUNTIME_ROWKEY_H

#include "codegen/KernelSpec.h"

namespace bq {

/// The fields of a KernelSpec that embedding, dequantize, quantize, prepack, fake quantization, optimizer steps and
/// DiffQ's noise have.
struct RowKey {
  KernelSpec::Op op;
  Format format;
  int64_t k;
  ElementType dataType, scaleType;
  ZeroPointType zeroType;
  bool permuted;
  ElementType weightType;
  UpdateRule rule;
  MomentType moments;
  Rounding rounding;
  ScaleUpdate scaling;
  NoiseKind noise;
  int64_t groupSize;
  int rounds;

  explicit RowKey(const KernelSpec &spec)
      : op(spec.op), format(spec.format), k(spec.k), dataType(spec.dataType), scaleType(spec.scaleType),
        zeroType(spec.zeroType), permuted(spec.permuted), weightType(spec.weightType), rule(spec.rule),
        moments(spec.moments), rounding(spec.rounding), scaling(spec.scaling), noise(spec.noise),
        groupSize(spec.groupSize), rounds(spec.rounds) {}
  friend bool operator==(const RowKey &l, const RowKey &r) {
    return l.op == r.op && l.format == r.format && l.k == r.k && l.dataType == r.dataType &&
           l.scaleType == r.scaleType && l.zeroType == r.zeroType && l.permuted == r.permuted &&
           l.weightType == r.weightType && l.rule == r.rule && l.moments == r.moments && l.rounding == r.rounding &&
           l.scaling == r.scaling && l.noise == r.noise && l.groupSize == r.groupSize && l.rounds == r.rounds;
  }
};

} // namespace bq

#endif // BQ_RUNTIME_ROWKEY_H

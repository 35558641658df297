// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A row of activations as steps of a `mixed` weight meet it, and its sums over groups.
#ifndef BQ_PASSES_CPU_MIXEDACTIVATIONS_H
#define BQ_PASSES_CPU_MIXEDACTIVATIONS_H

#include "passes/cpu/MixedLists.h"

namespace bq {

/// One row of activations in f32, of one segment. Makes up for what products with floats have too much or too
/// little where the weight is min + range * level / (2^bits - 1), and a level is multiplied as 1 + level / 2^bits
/// (MixedDecoder::narrow).
class MixedActivations {
public:
  /// `scratch`: bytes() of the frame's, from `offset` on.
  MixedActivations(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, int64_t offset);
  static int64_t bytes(const LinearPlan &plan);

  /// The order that steps have. Of groups of whole 32 floats, which are copied to it; of all others the natural one.
  static MixedDecoder::Order order(const LinearPlan &plan);
  /// `count` activations of steps, in their order, from `column` on; behind the last are zeros.
  mlir::Value load(mlir::Value column, int64_t count) const;

  /// Sum of all activations: an f32.
  mlir::Value all() const { return total; }
  /// `sum`, in 16 parts, of row `i` of those whose widths are kept, less activations times the factor of their group,
  /// 2^bits / (2^bits - 1), over the groups of up to 8 bits.
  mlir::Value withoutExcess(mlir::Value sum, mlir::Value i, MixedDecoder &decoder, MixedLists &lists) const;

private:
  void interleave();

  KernelBuilder &b;
  const LinearPlan &plan;
  MixedFrame &frame;
  mlir::Value interleaved; ///< f32; null where the order is natural.
  mlir::Value sums;        ///< Of each group, f32; zeros behind.
  mlir::Value total;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDACTIVATIONS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums of a row of activations over the groups of a `mixed` weight.
#ifndef BQ_PASSES_CPU_MIXEDACTIVATIONSUMS_H
#define BQ_PASSES_CPU_MIXEDACTIVATIONSUMS_H

#include "passes/cpu/MixedLists.h"

namespace bq {

/// Makes up for what products with floats have too much or too little where the weight is min + range * level / (2^bits
/// - 1), and a level is multiplied as 1 + level / 2^bits (MixedDecoder::narrow). For one row of activations in f32, of
/// one segment.
class MixedActivationSums {
public:
  /// `scratch`: f32 [vectorGroups()].
  MixedActivationSums(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, mlir::Value scratch);

  /// The row's groups, rounded up to whole vectors.
  static int64_t vectorGroups(const LinearPlan &plan);

  /// Sum of all activations: an f32.
  mlir::Value all() const { return total; }
  /// `sum`, in 16 parts, of row `i` of those whose widths are kept, less activations times the factor of their group,
  /// 2^bits / (2^bits - 1), over the groups of up to 8 bits.
  mlir::Value withoutExcess(mlir::Value sum, mlir::Value i, MixedDecoder &decoder, MixedLists &lists) const;

private:
  KernelBuilder &b;
  const int64_t groups; ///< As vectorGroups().
  mlir::Value sums;     ///< Of each group; zeros behind.
  mlir::Value total;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDACTIVATIONSUMS_H

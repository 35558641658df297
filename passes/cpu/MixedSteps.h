// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of 64 codes of a `mixed` weight, times one row of activations.
#ifndef BQ_PASSES_CPU_MIXEDSTEPS_H
#define BQ_PASSES_CPU_MIXEDSTEPS_H

#include "passes/cpu/MixedDecoder.h"
#include "passes/cpu/MixedLinear.h"

#include <optional>

namespace bq {

/// Decodes steps and adds their products with integers to sums. A step has parts, which are groups or less of them.
class MixedSteps {
public:
  /// Codes of a step, and the greatest width that is done here.
  static constexpr int64_t codes = 64, maxWidth = 8;

  /// `decoder` makes what decodes, kept in `memory`: i8 [recordBytes].
  MixedSteps(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder, mlir::Value memory);

  /// What decodes codes of each width is kept there: to make it takes as long as a few steps.
  static constexpr int64_t widthBytes = 4 * 64, recordBytes = (maxWidth + 1) * widthBytes;

  static int64_t parts(const LinearPlan &plan) { return std::max<int64_t>(1, codes / plan.format.group); }
  /// Products that a step adds to each of sixteen lanes.
  static constexpr int64_t products = codes / 16;
  /// The greatest of these, of activations of a form, or of that which it becomes here.
  static int64_t greatest(const LinearPlan &plan);

  /// Widths that one piece of code decodes.
  struct Widths {
    int64_t first, last;
  };
  mlir::SmallVector<Widths> widths() const { return {{1, 4}, {5, maxWidth}}; }
  /// Of what follows, the widths, and the one of them (an index) that is there. `codes`: i8 [?].
  void begin(Widths some, mlir::Value width, mlir::Value codes);

  /// The groups (indices) that the parts of a step lie in, which are listed from `entry` on. `list`: i8.
  mlir::SmallVector<mlir::Value> groupsFrom(mlir::Value list, mlir::Value entry);

  /// What the step from byte `at` of the codes on is multiplied as.
  mlir::SmallVector<mlir::Value> decode(mlir::Value at);
  /// The sum (i32) and what has been decoded, times the activations of a plane. The step begins at the code `inGroup`
  /// of longer groups.
  mlir::Value add(mlir::Value sum, int64_t plane, mlir::ArrayRef<mlir::Value> decoded,
                  mlir::ArrayRef<mlir::Value> groups, mlir::Value inGroup);

private:
  using Value = mlir::Value;

  /// Activations of the step's codes from `first` on, `count` of them.
  Value gather(int64_t plane, int64_t first, int64_t count, mlir::ArrayRef<Value> groups, Value inGroup);

  Value recordOf(Value width) { return b.mul(width, widthBytes); }

  KernelBuilder &b;
  const LinearPlan &plan;
  MixedFrame &frame;
  Value memory;
  std::optional<MixedDecoder> ofCodes;
  Widths range{};
  std::optional<MixedDecoder::Narrow> bytes; ///< One of both.
  std::optional<MixedDecoder::Words> words;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDSTEPS_H

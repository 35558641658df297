// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of 64 codes of a `mixed` weight, times one row of activations.
#ifndef BQ_PASSES_CPU_MIXEDSTEPS_H
#define BQ_PASSES_CPU_MIXEDSTEPS_H

#include "passes/cpu/MixedDecoder.h"
#include "passes/cpu/MixedLinear.h"

#include <optional>

namespace bq {

/// Decodes steps and adds their products to sums. A step has parts, which are groups or less of them.
class MixedSteps {
public:
  /// Codes of a step, and the greatest width that is done here.
  static constexpr int64_t codes = 64, maxWidth = 8;

  /// How the sums of a step lie in `vectors` vectors of 16: each of its parts has `lanes` lanes of its own.
  struct Form {
    int64_t parts, lanes, vectors;
    explicit Form(const LinearPlan &plan);
  };

  MixedSteps(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder)
      : b(b), plan(plan), form(plan), frame(frame), decoder(decoder) {}

  /// Widths that one piece of code decodes.
  struct Widths {
    int64_t first, last;
  };
  mlir::SmallVector<Widths> widths() const;
  /// Of what follows, the widths, and the one of them (an index) that is there.
  void begin(Widths some, mlir::Value width);

  /// The groups (indices) that the parts of so many steps lie in, which are listed from `entry` on. `list`: i8.
  mlir::SmallVector<mlir::Value> groupsFrom(mlir::Value list, mlir::Value entry, int64_t steps);

  /// What the step from byte `at` of the stream on is multiplied as. Integers: its codes. Floats: 1 + code / 2^bits.
  mlir::SmallVector<mlir::Value> decode(mlir::Value at) { return decoder.codesFrom(at, *narrow); }
  /// Adds what has been decoded, times the activations of a plane, to sums: `vectors` of i32 or f32. The step begins at
  /// the code `inGroup` of longer groups.
  void add(mlir::MutableArrayRef<mlir::Value> sums, int64_t plane, mlir::ArrayRef<mlir::Value> decoded,
           mlir::ArrayRef<mlir::Value> groups, mlir::Value inGroup);

private:
  using Value = mlir::Value;

  /// Activations of the step's codes from `first` on, `count` of them.
  Value gather(int64_t plane, int64_t first, int64_t count, mlir::ArrayRef<Value> groups, Value inGroup);

  KernelBuilder &b;
  const LinearPlan &plan;
  const Form form;
  MixedFrame &frame;
  MixedDecoder &decoder;
  Widths range{};
  std::optional<MixedDecoder::Narrow> narrow;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDSTEPS_H

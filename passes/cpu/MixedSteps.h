// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of 64 codes of a `mixed` weight, times one row of activations.
#ifndef BQ_PASSES_CPU_MIXEDSTEPS_H
#define BQ_PASSES_CPU_MIXEDSTEPS_H

#include "passes/cpu/MixedDecoder.h"
#include "passes/cpu/MixedLinear.h"

namespace bq {

/// Decodes steps and adds their products to sums. A step has parts, which are groups or less of them; their columns are
/// listed.
class MixedSteps {
public:
  /// Codes of a step, and the greatest width that is done here.
  static constexpr int64_t codes = 64, maxWidth = 8;

  /// How the sums of a step lie in `vectors` vectors of 16: each of its parts has `lanes` lanes of its own.
  struct Form {
    int64_t parts, lanes, vectors;
    explicit Form(const LinearPlan &plan);
  };

  /// `list`: i8, numbers of groups.
  MixedSteps(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder, mlir::Value list)
      : b(b), plan(plan), form(plan), frame(frame), decoder(decoder), list(list) {}

  /// Widths that one piece of code decodes.
  struct Widths {
    int64_t first, last;
  };
  mlir::SmallVector<Widths> widths() const;
  /// Of what follows, the widths, and the one of them (an index) that is there.
  void begin(Widths some, mlir::Value width);

  /// What the step from byte `at` of the stream on is multiplied as. Integers: its codes. Floats: 1 + code / 2^bits; in
  /// f32 codes of 8 bits as they are, in bf16 17 + code / 16 of them.
  mlir::SmallVector<mlir::Value> decode(mlir::Value at);
  /// Adds what has been decoded, times the activations of a plane, to sums: `vectors` of i32 or f32. The step's parts
  /// are listed from `entry` on; it begins at the code `inGroup` of longer groups.
  void add(mlir::MutableArrayRef<mlir::Value> sums, int64_t plane, mlir::ArrayRef<mlir::Value> decoded,
           mlir::Value entry, mlir::Value inGroup);

private:
  using Value = mlir::Value;

  bool isBF16() const { return plan.form == LinearPlan::Form::BF16; }
  bool isByte() const { return range.last == maxWidth; }
  /// Vectors of activations that a step meets; of one of them the codes that its pieces begin with, and their length.
  int64_t vectors() const { return codes / (16 * plan.perWord()); }
  int64_t length() const { return form.lanes * plan.perWord(); }
  mlir::SmallVector<int64_t> pieces(int64_t vector) const;
  mlir::SmallVector<int64_t> codesOf(int64_t vector) const;
  Value gather(int64_t plane, int64_t vector, Value entry, Value inGroup);

  KernelBuilder &b;
  const LinearPlan &plan;
  const Form form;
  MixedFrame &frame;
  MixedDecoder &decoder;
  Value list;
  Widths range{};
  MixedDecoder::Narrow narrow;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDSTEPS_H

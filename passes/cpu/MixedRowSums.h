// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums of one row of a `mixed` weight with rows of activations, group by group of each width.
#ifndef BQ_PASSES_CPU_MIXEDROWSUMS_H
#define BQ_PASSES_CPU_MIXEDROWSUMS_H

#include "passes/cpu/MixedLists.h"

namespace bq {

/// Sums are vectors of f32 for each of the plan's rows of activations. Widths of the segment have been loaded to the
/// lists; each call goes on in the stream where the one before ended.
class MixedRowSums {
public:
  /// Codes of widths up to this are bytes; those of others are decoded to words.
  static constexpr int64_t maxNarrow = 8;
  /// Codes of a step: of up to maxNarrow bits, and of more.
  static constexpr int64_t narrowStep = 64, wideStep = 32;

  /// All but the builder and the plan belong to the same kernel. Products with integers are summed as
  /// level / (2^bits - 1), those with floats as weights.
  MixedRowSums(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder, MixedLists &lists)
      : b(b), plan(plan), size(plan.format.group), frame(frame), decoder(decoder), lists(lists) {}

  /// The sums and what the groups of up to maxNarrow bits, or of more, add to them, with activations of a segment from
  /// row `x` on.
  mlir::SmallVector<mlir::Value> addNarrow(mlir::Value segment, mlir::Value x, mlir::ValueRange sums);
  mlir::SmallVector<mlir::Value> addWide(mlir::Value segment, mlir::Value x, mlir::ValueRange sums);

private:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = mlir::SmallVector<Value>;
  using Parts = mlir::ArrayRef<Value>;

  Value i64(int64_t value) { return mlir::arith::ConstantIntOp::create(b, b.getI64Type(), value); }
  Value toI64(Value index) { return mlir::arith::IndexCastOp::create(b, b.getI64Type(), index); }
  Value toIndex(Value value) { return mlir::arith::IndexCastOp::create(b, b.getIndexType(), value); }

  /// Steps over the `count` listed groups of one width, behind which the next row goes on: `body` gets where the codes
  /// of a step begin (a byte of the stream), and the columns of its parts, which are equally long.
  Values overSteps(int64_t step, Value width, Value count, ValueRange initial,
                   mlir::function_ref<Values(Value at, Parts parts, ValueRange carried)> body);
  /// Activations of the parts, one after the other.
  Value gather(int64_t plane, int64_t row, Parts parts, int64_t step);
  /// 16 activations of a step as floats, from element `first` of it on.
  Value floats(int64_t row, Parts parts, int64_t first);
  /// 2^bits - less in f32.
  Value power(Value bits, int64_t less);
  /// `multiply` for each width from first to last that the segment has, an index and an i64.
  Values addWidths(int64_t first, int64_t last, ValueRange sums,
                   mlir::function_ref<Values(Value width, Value bits, Value count, ValueRange sums)> multiply);
  Values multiplyIntegers(Value width, Value bits, Value count, ValueRange sums);
  /// `most`: the greatest width that the code is for.
  Values multiplyFloats(Value width, Value bits, int64_t most, Value count, ValueRange sums);
  Values multiplyWide(Value width, Value bits, Value count, ValueRange sums);
  /// Codes of a wide step, words, as vectors of f32 in the order of activations.
  Values floatsOf(Value words);
  /// What makes weights of codes: vectors of f32.
  struct Line {
    Value slope, offset;
  };
  /// Codes of a step, vectors of f32, as weights times the activations.
  Values addProducts(mlir::ArrayRef<Value> codes, const Line &line, Parts parts, ValueRange sums);

  KernelBuilder &b;
  const LinearPlan &plan;
  const int64_t size; ///< Of a group.
  MixedFrame &frame;
  MixedDecoder &decoder;
  MixedLists &lists;
  Value segment;
  Value x; ///< The first row of activations.
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDROWSUMS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products of many rows of activations with a segment of a weight.
#ifndef BQ_PASSES_CPU_PANELPRODUCT_H
#define BQ_PASSES_CPU_PANELPRODUCT_H

#include "passes/cpu/WeightDecoder.h"

namespace bq {

/// A segment of a task, which is plan.vectors blocks of rows of the weight, is decoded once, to a panel that stays in
/// the nearest cache, and meets tiles of activations whose accumulators fill the registers.
class PanelProduct {
public:
  /// Rows of activations for which a panel is decoded once; their sums stay in the cache with it. A multiple of every
  /// tile.
  static constexpr int64_t rowBlock = 96;

  /// 32-bit words of the constructor's buffers.
  static int64_t sumWords(const LinearPlan &plan) { return rowBlock * plan.vectors * plan.layout.lanes; }
  static int64_t panelWords(const LinearPlan &plan) { return plan.segmentWords() * plan.vectors * plan.layout.lanes; }

  /// `prepared`: how rows of buffers.data are cut; as the weight is, or into longer segments, each whole segments of a
  /// weight that has none padded. `sums`: f32 [rowBlock, vectors * lanes]; `panel`: f32 [panelWords(plan)].
  PanelProduct(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, const Segments &prepared,
               mlir::Value sums, mlir::Value panel)
      : b(b), plan(plan), buffers(buffers), prepared(prepared),
        decoder(b, plan, buffers, WeightDecoder::IntegerMode::Whole), sums(sums), panel(panel) {}

  /// All rows of activations, a block of them at a time: `addSegment` is to add() what a segment is, then `finish` gets
  /// each row of the block, which is row `m` of x.
  void overRows(mlir::function_ref<void(mlir::Value segment, mlir::Value firstRow, mlir::Value rows)> addSegment,
                mlir::function_ref<void(mlir::Value row, mlir::Value m)> finish);
  /// Adds the products of a segment of a task with `rows` rows of activations from `firstRow` on.
  void add(mlir::Value task, mlir::Value segment, mlir::Value firstRow, mlir::Value rows);
  /// The sums of row `row` of those, a vector from lane `offset` of the task on.
  mlir::Value sumsAt(mlir::Value row, mlir::Value offset) { return b.load(b.f32s(), sums, {row, offset}); }

private:
  using Value = mlir::Value;

  /// Where a segment of the weight begins in a row of activations.
  struct Place {
    Value segment, word;
  };
  void clear(Value rows);
  Place placeOf(Value segment);
  mlir::SmallVector<int64_t> heights() const;
  Value blockOf(Value task, Value v);
  Value panelAt(Value word, Value v) { return b.add(b.mul(word, plan.vectors * b.lanes), b.mul(v, b.lanes)); }
  void decodePanel(Value task, Value segment, Value values);
  void multiplyPanel(Value task, Value segment, Value isHigh, Value firstRow, Value rows);
  void multiplyTile(int64_t height, Value segment, Value isHigh, Value firstRow, Value row,
                    mlir::ArrayRef<Value> scales, mlir::ArrayRef<Value> zeros);
  void multiplyWord(int64_t height, const Place &place, Value plane, Value row, Value word,
                    mlir::SmallVector<Value> &state);
  Value finish(Value total, Value isHigh, Value activationSum, Value zeros);

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  const Segments prepared;
  WeightDecoder decoder;
  Value sums;
  Value panel; ///< [segment words, vectors, lanes]
};

} // namespace bq

#endif // BQ_PASSES_CPU_PANELPRODUCT_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From the lines of a tile (Layout) to operands of products.
#ifndef BQ_PASSES_CPU_WEIGHTDECODER_H
#define BQ_PASSES_CPU_WEIGHTDECODER_H

#include "passes/cpu/LinearPlan.h"

namespace bq {

/// Decodes weights in registers. Made at the entry of a kernel, where it loads tables and constants.
class WeightDecoder {
public:
  /// How integer codes reach a dot product.
  enum class IntegerMode {
    /// Bit fields are masked where they stand and summed apart, each shifted into place once for a segment: no shift
    /// for each line, but an accumulator for each field.
    InPlace,
    /// Codes are shifted and masked to bytes, one accumulator.
    Whole,
  };

  /// A vector of weights and where it goes.
  struct Term {
    mlir::Value weights;
    int64_t word; ///< Word of the tile's activations that it meets.
    int64_t key;  ///< Accumulator that it is added to.
    int64_t max;  ///< Bytes: no weight is above this.
  };

  WeightDecoder(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, IntegerMode mode);

  using Lines = mlir::SmallVector<mlir::SmallVector<mlir::Value>>;
  /// The lines of a tile, [plane][line].
  Lines loadTile(mlir::Value block, mlir::Value segment, mlir::Value tile);

  /// Number of accumulators that terms refer to.
  int64_t keys() const;
  /// All products of a tile as dot products: bytes for integer forms, words of bf16 for bf16.
  mlir::SmallVector<Term> terms(const Lines &lines);
  /// The integer sum of a segment in the accumulators of one plane of activations, all keys that make one code
  /// together. For tables of 16 bits, `key` 0 is the high byte and 1 the low one; else 0.
  mlir::Value fold(mlir::ArrayRef<mlir::Value> accumulators, int64_t key);

  /// Operands for an unpacked panel: of word `word` of the tile (4 codes, or 2 for bf16, or 1 for f32), by a table as
  /// valuesOf gives it.
  mlir::Value panelWord(const Lines &lines, int64_t word, mlir::Value values, mlir::Value zeros);
  /// The table of values by code, null where none is needed; `key` as in fold.
  mlir::Value valuesOf(int64_t key) const { return key ? tableLow : table; }

  /// Zero points of a segment in f32; null where the format has none of its own.
  mlir::Value loadZeros(mlir::Value block, mlir::Value segment);
  mlir::Value loadScales(mlir::Value block, mlir::Value segment);

  /// What the accumulator of key 0 starts from: for i8 and a zero point common to all codes, what that point adds, so
  /// that it need not be taken out of every sum; else 0.
  mlir::Value initialSum(mlir::Value activationSum);

  /// The sum of a segment as f32, zero point taken out: from its integer sums (one for each key of fold) or its float
  /// sum, the sum of the activations, and the zero points.
  mlir::Value finishSegment(mlir::ArrayRef<mlir::Value> totals, mlir::Value activationSum, mlir::Value zeros);

  /// f32 weights of code `column` of the tile, zero point taken out.
  mlir::Value f32Weights(const Lines &lines, int64_t column, mlir::Value zeros);
  /// Tables of 16-bit integers come as two bytes.
  bool hasTwoBytes() const { return plan.form == LinearPlan::Form::I16 && plan.format.isTable(); }

private:
  struct Field {
    int64_t shiftRight, shiftLeft;
  };

  /// Zero point of all codes as they enter a dot product.
  int64_t commonZero() const;
  bool startsFromZeroPoint() const { return plan.form == LinearPlan::Form::I8 && commonZero(); }
  /// Bytes of the codes 4 word .. 4 word + 3 of the tile.
  mlir::Value wholeBytes(const Lines &lines, int64_t word);
  mlir::Value bf16Words(mlir::Value codesOrLine, int64_t shift, mlir::Value table);
  void makeTable(const LinearBuffers &buffers);

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  const std::vector<int> planes;
  IntegerMode mode;
  mlir::SmallVector<Field> fields;             ///< One for each key of InPlace.
  mlir::Value table, tableLow;                 ///< Values by code; of two-byte tables the high and the low byte.
  mlir::SmallVector<mlir::Value> nibbleTables; ///< bf16 of int and uint: values of the pieces of a code that are added.
};

} // namespace bq

#endif // BQ_PASSES_CPU_WEIGHTDECODER_H

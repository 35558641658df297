// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From the words of a lane (FragmentLayout) to operands of products.
#ifndef BQ_PASSES_GPU_FRAGMENTDECODER_H
#define BQ_PASSES_GPU_FRAGMENTDECODER_H

#include "passes/gpu/FragmentPlan.h"

namespace bq {

/// Decodes weights in registers. Made at the entry of a kernel, where it brings tables to shared memory; every thread
/// of the block must come there.
///
/// For bf16, codes of up to seven bits become 128 + code by setting the exponent, with no arithmetic: what that adds is
/// taken out of the sum with the zero point. Of narrow codes those of row g + 8 stay where they are in the byte, so
/// that a shift serves two rows, and count 2^upperShift() times as much.
class FragmentDecoder {
public:
  FragmentDecoder(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);

  /// The words of a lane in one segment of one block, as they are loaded: what a loop carries.
  mlir::SmallVector<mlir::Value> load(mlir::Value block, mlir::Value segment, mlir::Value lane);
  /// The same one by one, for a loop that loads each when what is in its registers has been used up.
  int64_t loads() const { return pieces.size(); }
  mlir::Value loadPiece(mlir::Value block, mlir::Value segment, mlir::Value lane, int64_t piece);
  /// The last unit of a segment that a piece has codes of.
  int64_t lastUnit(int64_t piece) const;
  /// [plane][word]
  using Words = mlir::SmallVector<mlir::SmallVector<mlir::Value>>;
  Words words(mlir::ValueRange loaded);

  /// Units that the body of a loop over a segment's units takes at a time: at most `most`, but no word in parts. What
  /// a kernel's body holds decides how long it takes to compile.
  int64_t unitsAtATime(int64_t most) const;
  /// body(first unit, i32; words of each block, in which that unit is the first; carried values) for `atATime` units
  /// after the other; gives the last values. There is no loop where these are all units of the segment.
  using UnitsBody = mlir::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value first, mlir::ArrayRef<Words> blocks,
                                                                      mlir::ValueRange carried)>;
  mlir::SmallVector<mlir::Value> forEachUnits(int64_t atATime, mlir::ArrayRef<Words> blocks, mlir::ValueRange initial,
                                              UnitsBody body);

  /// Operand A of m16n8k32 for a unit, unsigned bytes.
  mlir::Value bytesFragment(const Words &words, int64_t unit);
  /// Operand A of m16n8k16 for step 0 or 1 of a unit.
  mlir::Value bf16Fragment(const Words &words, int64_t unit, int64_t step);
  /// The same of what codes say, exactly, less zero points that all codes share: for formats that are exact in bf16.
  mlir::Value exactFragment(const Words &words, int64_t unit, int64_t step);
  /// The bytes of a register of operand A of m16n8k32.
  mlir::Value codes(const Words &words, int64_t unit, int64_t reg);
  /// The weight of such a byte in f32, `zero` taken out where the format has zero points of its own.
  mlir::Value f32Weight(mlir::Value code, mlir::Value zero);

  /// Scales of what finish() gives, or zero points, of rows g and g + 8 in f32; zero points are null where the format
  /// has none of its own.
  struct Pair {
    mlir::Value lower, upper;
  };
  Pair loadScales(mlir::Value block, mlir::Value segment, mlir::Value g);
  Pair loadZeros(mlir::Value block, mlir::Value segment, mlir::Value g);

  /// Codes of row g + 8 count 2^upperShift() times as much as they say, in bf16 fragments.
  int64_t upperShift() const;
  /// The scale of such codes, from that of row g + 8.
  mlir::Value perUnit(mlir::Value scale);

  /// Whether sums of fragments hold a multiple of the sum of activations that must be taken out.
  bool hasOffset() const;
  /// The part of a segment's sum, in f32: the sum less the offset times the sum of activations, to be scaled.
  mlir::Value finish(mlir::Value sum, mlir::Value activationSum, mlir::Value zero, bool isUpper);

private:
  /// The bits of a code, of every plane, at bit `target` of both halves of a word (step 0 or 1), joined with `base`,
  /// null for zero, by or, for signs by exclusive or.
  mlir::Value halves(const Words &words, int64_t unit, int64_t reg, int64_t step, int64_t target, mlir::Value base);
  mlir::Value join(mlir::Value word, int64_t mask, mlir::Value base);
  mlir::Value nibbles(const Words &words, int64_t unit, int64_t half);
  mlir::Value byteOf(mlir::Value word, int64_t byte);
  mlir::Value bf16Bytes(const Words &words, int64_t unit, int64_t step, int64_t reg);
  bool isOffsetBF16() const;
  bool isBytesBF16() const { return plan.format.bits == 8; }
  bool isSign() const { return plan.format.kind == Format::Kind::Sign; }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
  /// One load of a lane.
  struct Piece {
    int width;           ///< Of its plane.
    int64_t word, count; ///< Words of the lane in the plane.
    int64_t offset;      ///< Words of the segment before it.
  };
  std::vector<int> planes;
  mlir::SmallVector<Piece> pieces;
  mlir::Value table; ///< In shared memory, in the form of the plan.
};

} // namespace bq

#endif // BQ_PASSES_GPU_FRAGMENTDECODER_H

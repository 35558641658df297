// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The first half of bq.update: gradient and moments to the direction of the step.
#ifndef BQ_PASSES_CPU_MOMENTSTEP_H
#define BQ_PASSES_CPU_MOMENTSTEP_H

#include "dialect/BQDialect.h"
#include "dialect/core/KernelAbi.h"
#include "passes/cpu/PhiloxRows.h"

namespace bq {

/// What all elements of a step have in common: abi::UpdateOptions, as scalars.
struct StepOptions {
  StepOptions(KernelBuilder &b, UpdateOp op, mlir::Value options);

  mlir::Value rate; ///< With the correction where the op has it.
  mlir::Value keep, beta1, fresh1, beta2, fresh2, epsilon, scale;
};

/// Steps the moments of sixteen elements, or of a block of those with a scale, and gives the direction: m / (sqrt(v) +
/// epsilon) for adam, the running mean v for sign_momentum, the gradient for direction; of the moments as they are
/// stored.
class MomentStep {
public:
  /// Buffers are 1-D; those that the op does not need may be null. To be made before any loop.
  MomentStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, mlir::Value gradient,
             mlir::Value m, mlir::Value mScales, mlir::Value v, mlir::Value vScales);

  MomentType type() const { return moments; }
  /// Whether moments are rounded at random.
  bool isRandom() const { return moments != MomentType::None && moments != MomentType::F32; }
  bool hasBlocks() const { return moments == MomentType::Block8; }

  /// The direction of elements [at, at + 16), of which `count` are there where it is not null. `words`: 16 x i32, or
  /// null. With `isStored` no moment is stepped.
  mlir::Value direction(mlir::Value at, mlir::Value count, mlir::Value words, bool isStored);
  /// What is done with the directions of blocks, whose columns count from the first of all.
  struct Use {
    /// Before the steps of a block: `unit`, a scalar, is what their directions count in.
    llvm::function_ref<void(mlir::Value first, mlir::Value length, mlir::Value unit)> begin;
    llvm::function_ref<void(mlir::Value i, mlir::Value count, mlir::Value direction)> step;
    /// Written into steps in which memory has little to do, before step() of the same.
    llvm::function_ref<void(mlir::Value i)> meanwhile;
  };
  /// The directions of `columns` elements from `at` on, block by block. `scaleAt`: the first block's place among the
  /// scales. `words`: PhiloxRows::writeFirst() for them.
  void blocks(mlir::Value at, mlir::Value columns, mlir::Value scaleAt, mlir::Value words, bool isStored,
              const Use &use);

private:
  struct Pair {
    mlir::Value m, v;
  };

  mlir::VectorType floats() { return b.vec(b.getF32Type(), rowStep); }
  mlir::VectorType integers() { return b.vec(b.getI32Type(), rowStep); }
  mlir::Value splat(float value);
  mlir::Value splat(mlir::Value scalar) { return b.broadcast(floats(), scalar); }
  mlir::Value isPositive(mlir::Value x);

  mlir::Value loadGradient(mlir::Value at, mlir::Value count);
  /// The moments after the step, in f32. `decay`: beta1, by the unit that the old m counts in.
  Pair advance(const Pair &old, mlir::Value gradient, mlir::Value decay);
  mlir::Value meanSign(mlir::Value v, mlir::Value m);
  mlir::Value directionOf(const Pair &stored);
  mlir::Value divide(mlir::Value m, mlir::Value root);

  /// Rounds at random to `element` (f16, bf16): what is stored, and what that is in f32.
  std::pair<mlir::Value, mlir::Value> roundTo16(mlir::Value x, mlir::Value words, bool high, bool isSecond);

  // Moments of 8 bits.

  /// Columns in whose scratch all of them have room: `columns` elements from `at` on, whose scales begin at `scaleAt`.
  struct Span {
    mlir::Value at, columns, scaleAt;
    mlir::Value words; ///< Those of blocks().
    mlir::Value first; ///< The first of its columns, as blocks() counts them.

    /// Where the scale of the block is that begins at this column of the span.
    mlir::Value scaleOf(KernelBuilder &b, mlir::Value begin) const {
      return b.add(scaleAt, b.div(begin, abi::momentBlock));
    }
  };
  /// Columns of a span.
  struct Range {
    mlir::Value begin, length;
  };
  struct Block {
    mlir::Value mScale, vScale;
  };
  /// A moment whose codes are multiples of its scale.
  struct Linear {
    mlir::Value values, scales, codes;
    bool isSecond;
  };
  /// A scale for v in units of fresh2, the bits of the v with the least of its codes, in all lanes, and the lowest byte
  /// of those of them that are not dropped.
  struct SecondScale {
    mlir::Value value, least, first;
  };

  /// Blocks whose steps are done side by side: the scale of one is known while another is at work.
  static constexpr int64_t blocksAtOnce = 4;
  /// body(block) for the blocks of a span.
  void forEachBlock(mlir::Value columns, llvm::function_ref<void(const Range &block)> body);
  /// Whether `columns` is known, and a multiple of `part`.
  static bool isWhole(mlir::Value columns, int64_t part);
  /// blocks() for at most so many.
  void spanOfBlocks(const Span &span, bool isStored, const Use &use);
  void useStored(const Span &span, const Use &use);

  /// Asks for a part of the gradient of the next span in step `i` of this one: of `count` quarters of it, from this one
  /// on. Loops share it, so that memory has about as much to do in each.
  void askAhead(const Span &span, mlir::Value i, int64_t quarter, int64_t count);
  /// What advanceAdam() needs of the old scales of a span.
  void keepDecays(const Span &span);
  /// New moments, whole, to blockM and blockV, and the greatest of each block: of v for adam, of |m| for sign_momentum.
  void advanceAdam(const Span &span);
  void advanceSigns(const Span &span);
  /// Of a block after advanceAdam(): stores the scale of v, and gives what makes its codes and leaves directions in
  /// blockM, and their greatest in the first value carried.
  RowMemory::ByteSteps secondCodes(const Span &span, const Range &block,
                                   llvm::function_ref<void(mlir::Value i)> meanwhile);
  /// Of a block whose greatest is kept: stores its scale, and gives what makes its codes and uses them.
  RowMemory::ByteSteps linearCodes(const Span &span, const Range &block, const Linear &moment, const Use &use);

  Block loadBlock(mlir::Value scaleAt);
  Pair loadCodes(mlir::Value at, mlir::Value count);
  mlir::Value firstUnit();
  mlir::Value secondDecay();
  /// The table of decodeRoot() for the root of a scale of v.
  mlir::Value rootsFor(mlir::Value root);
  /// The root of v.
  mlir::Value decodeRoot(mlir::Value codes, mlir::Value scaledRoots);
  SecondScale secondScale(mlir::Value greatest);
  /// Takes the new v of a block to what the greatest code of the greatest scale stands for, should one be above.
  void clampSeconds(const Range &block, mlir::Value greatest);
  /// The upper bits of v, those that are not dropped, as it is stored.
  mlir::Value roundSecond(mlir::Value v, const SecondScale &scale, mlir::Value words);
  /// Codes as f32. `noise`: 16 random bits in each lane.
  mlir::Value encodeLinear(mlir::Value x, mlir::Value inverseScale, mlir::Value noise);
  mlir::Value linearScale(mlir::Value greatest);
  /// The random words of the first step of the block that begins at this column.
  mlir::Value firstWords(const Span &span, mlir::Value begin);
  /// The place of the block that begins at a column, in what is kept of blocks.
  mlir::Value numberOf(mlir::Value begin);
  /// The greatest of the block that begins at a column, and what keeps it: the greatest of these lanes.
  mlir::Value greatestOf(mlir::Value begin);
  void keepGreatest(mlir::Value lanes, mlir::Value begin);

  KernelBuilder &b;
  RowMemory &memory;
  UpdateRule rule;
  MomentType moments;
  mlir::Type dataType, momentType;
  const StepOptions &options;
  mlir::Value gradient, m, mScales, v, vScales;
  mlir::Value roots;          ///< Roots of the least codes for a scale of 1.
  mlir::Value upperRoots;     ///< The table of decodeRoot() for upper bits of v instead of codes.
  mlir::Value blockM, blockV; ///< New moments of blocks.
  mlir::Value blockGreatest;  ///< And the greatest of each block.
  /// Of each block: what the old code of m is multiplied by for each root of v that is left, and for epsilon; the roots
  /// of what is left of the scale of v.
  struct Decays {
    mlir::Value ofLeft, ofEpsilon, roots;
  } decays;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MOMENTSTEP_H

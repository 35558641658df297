// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The first half of bq.update: gradient and moments to the direction of the step.
#ifndef BQ_PASSES_CPU_MOMENTSTEP_H
#define BQ_PASSES_CPU_MOMENTSTEP_H

#include "dialect/BQDialect.h"
#include "passes/cpu/PhiloxRows.h"

namespace bq {

/// What all elements of a step have in common: abi::UpdateOptions, as scalars.
struct StepOptions {
  StepOptions(KernelBuilder &b, UpdateOp op, mlir::Value options);

  /// The number at a byte of abi::UpdateOptions in all lanes, read where this is written.
  mlir::Value load(KernelBuilder &b, mlir::VectorType type, int64_t byte) const {
    return b.broadcastLoad(type, values, b.index(byte / static_cast<int64_t>(sizeof(float))));
  }

  mlir::Value values; ///< All of them, in memory.
  mlir::Value rate;   ///< With the correction where the op has it.
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
  /// The directions of `columns` elements from `at` on, block by block: use(i, count, direction) for each step of them,
  /// `i` counting from `at`. `scaleAt`: the first block's place among the scales. `words`: PhiloxRows::writeFirst() for
  /// them. meanwhile(i) is written into steps in which memory has little to do, before use() of the same.
  void blocks(mlir::Value at, mlir::Value columns, mlir::Value scaleAt, mlir::Value words, bool isStored,
              llvm::function_ref<void(mlir::Value i, mlir::Value count, mlir::Value direction)> use,
              llvm::function_ref<void(mlir::Value i)> meanwhile);

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
  struct Block {
    mlir::Value mScale, vScale;
  };
  Block loadBlock(mlir::Value scaleAt);
  Pair loadCodes(mlir::Value at, mlir::Value count);
  /// The table of decodeRoot() for a scale of v, its entries times `factor`.
  mlir::Value rootsFor(mlir::Value scale, mlir::Value factor);
  /// The root of v.
  mlir::Value decodeRoot(mlir::Value codes, mlir::Value scaledRoots);
  /// A scale for v, the bits of the v with the least of its codes, and those of them that are not dropped.
  struct SecondScale {
    mlir::Value value, least, first;
  };
  SecondScale secondScale(mlir::Value greatest);
  /// Takes the new v of a block to what the greatest code of the greatest scale stands for, should one be above.
  void clampSeconds(mlir::Value begin, mlir::Value length, mlir::Value greatest);
  /// The upper bits of v, those that are not dropped, as it is stored.
  mlir::Value roundSecond(mlir::Value v, const SecondScale &scale, mlir::Value words);
  mlir::Value encodeLinear(mlir::Value x, mlir::Value inverseScale, mlir::Value noise);
  mlir::Value linearScale(mlir::Value greatest);
  /// The random words of the first step of the block that begins at this column.
  mlir::Value firstWords(mlir::Value words, mlir::Value column);
  /// The bits of the greater of |x| and `most`, which are such bits.
  mlir::Value greaterSize(mlir::Value x, mlir::Value most);
  void keepGreatest(mlir::Value lanes, mlir::Value index);
  /// spanOfBlocks() for adam up to the directions, which are left in blockM with the greatest of each block.
  void stepAdamBlocks(mlir::Value at, mlir::Value columns, mlir::Value scaleAt, mlir::Value words, mlir::Value first,
                      llvm::function_ref<void(mlir::Value i)> meanwhile);
  /// Blocks whose steps are done side by side: the scale of one is known while another is at work.
  static constexpr int64_t blocksAtOnce = 4;
  /// body(begin, length, index) for the blocks of `columns` elements; all are indices.
  void forEachBlock(mlir::Value columns,
                    llvm::function_ref<void(mlir::Value begin, mlir::Value length, mlir::Value index)> body);
  /// blocks() for at most so many, from element `first` of the words on.
  void spanOfBlocks(mlir::Value at, mlir::Value columns, mlir::Value scaleAt, mlir::Value words, mlir::Value first,
                    bool isStored,
                    llvm::function_ref<void(mlir::Value i, mlir::Value count, mlir::Value direction)> use,
                    llvm::function_ref<void(mlir::Value i)> meanwhile);

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
};

} // namespace bq

#endif // BQ_PASSES_CPU_MOMENTSTEP_H

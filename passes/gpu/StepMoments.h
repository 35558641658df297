// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The first part of bq.update in kernels for GPUs: gradient and moments to the direction of the step, for a piece.
#ifndef BQ_PASSES_GPU_STEPMOMENTS_H
#define BQ_PASSES_GPU_STEPMOMENTS_H

#include "dialect/BQDialect.h"
#include "passes/gpu/StepRandom.h"

namespace bq {

/// What all elements of a step have in common, f32 each; `rate` with the correction where the op has it.
struct StepNumbers {
  mlir::Value rate, keep, beta1, fresh1, beta2, fresh2, epsilon;
};

/// Memory of the gradient and of the moments; what the op does not need may be null.
struct MomentMemory {
  mlir::Value gradient, m, mScales, v, vScales;
};

/// Steps the moments of the eight elements of a piece and gives their directions: m / (sqrt(v) + epsilon) for adam, the
/// running mean v for sign_momentum, the gradient for direction; of the moments as they are stored. A warp has the 256
/// columns of a block of moments of 8 bits, so that all its threads must come here, and rounds begin at blocks.
class StepMoments {
public:
  using Values = StepTrack::Words;

  /// `random`: where moments are rounded at random. `isStepped`: the moments have been stepped before.
  StepMoments(GpuBuilder &b, UpdateOp op, const StepNumbers &numbers, const MomentMemory &memory, StepRandom &random,
              bool isStepped);

  /// Whether moments are rounded at random here.
  bool isRandom() const { return moments != MomentType::None && moments != MomentType::F32 && !isStepped; }

  /// What directions() has the halves of.
  mlir::SmallVector<StepTrack> tracks(const StepPiece &piece);
  /// What directions count in, f32; null where they are as they are.
  mlir::Value unit() const { return directionUnit; }
  /// Steps the moments of a half.
  Values directions(const StepHalf &half, llvm::MutableArrayRef<Values> fronts);

private:
  struct Pair {
    mlir::Value m, v;
  };

  mlir::Value isPositive(mlir::Value x);
  /// The moments after the step; `decay` of the old m is left.
  Pair advance(const Pair &old, mlir::Value gradient, mlir::Value decay);
  mlir::Value meanSign(mlir::Value v, mlir::Value m);
  mlir::Value divide(mlir::Value m, mlir::Value root);
  mlir::Value directionOf(const Pair &stored);
  /// Rounds moments at random to 16 bits, in place; gives the bits.
  Values roundTo16(Values &values, mlir::ValueRange words, bool isSecond);
  mlir::Value roundToBF16(mlir::Value x, mlir::Value half, bool keepsPositive);
  mlir::Value roundToF16(mlir::Value x, mlir::Value half, bool keepsPositive);
  /// Words of moments as they are stored; what they are rounded to, in place.
  Values stored(Values &values, const StepHalf &half, bool isSecond);

  // Moments of 8 bits: directions.
  Values stepBlock(const StepPiece &piece);
  Values storedBlock(const StepPiece &piece);
  /// Whether the block of a piece has any column, and its place among the scales, i64.
  std::pair<mlir::Value, mlir::Value> blockOf(const StepPiece &piece);
  mlir::Value loadScale(mlir::Value scales, const StepPiece &piece);
  void storeScale(mlir::Value scale, mlir::Value scales, const StepPiece &piece);
  /// v for a scale of 1, and its root for a scale whose root this is.
  mlir::Value decodeSecond(mlir::Value code);
  mlir::Value decodeRoot(mlir::Value code, mlir::Value rootScale);
  mlir::Value encodeSecond(mlir::Value v, mlir::Value inverseScale, mlir::Value word);
  /// Stores values as codes with a common scale, which becomes unit(); gives the codes.
  Values storeLinear(const Values &values, bool high, mlir::Value codes, mlir::Value scales, const StepPiece &piece);
  /// The greatest of the magnitudes of a block, in all its threads.
  mlir::Value greatest(mlir::ValueRange values);

  GpuBuilder &b;
  UpdateRule rule;
  MomentType moments;
  mlir::Type dataType, momentType;
  int64_t blocksPerRow;
  StepNumbers numbers;
  MomentMemory at;
  StepRandom &random;
  bool isStepped;
  mlir::Value directionUnit;
};

} // namespace bq

#endif // BQ_PASSES_GPU_STEPMOMENTS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second half of bq.update on a packed weight: directions to new codes, a row at a time.
#ifndef BQ_PASSES_CPU_PACKEDSTEP_H
#define BQ_PASSES_CPU_PACKEDSTEP_H

#include "passes/cpu/MomentStep.h"

namespace bq {

/// Works in units of the old scale: rel = (code - zero + residual / 256 - rate * direction / scale) * keep, so that an
/// element that nothing moves comes back exactly. A row is done tile by tile: first the new values of all its groups,
/// then their scales, then their codes. Columns `i` count from the start of a tile.
class PackedStep {
public:
  /// Buffers are 1-D; those that the op does not need may be null. `scratch`: 1-D f32, scratchFloats() of them. To be
  /// made before any loop.
  PackedStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, mlir::Value codes,
             mlir::Value scales, mlir::Value zeros, mlir::Value residual, mlir::Value scratch);

  /// Floats of scratch: values, random numbers for both streams where they are needed, factors and zero points.
  static int64_t scratchFloats(UpdateOp op);

  /// Buffers of random words, and of PhiloxRows::writeFirstCarries(); null where they are not needed.
  mlir::Value momentWords() const { return tileMomentWords; }
  mlir::Value weightCarries() const { return tileCarries; }

  /// Columns of a tile.
  int64_t columnsPerTile() const { return tile; }
  /// Whether all tiles are whole, and steps in them: then they can be chained over rows.
  bool hasEqualTiles() const {
    return format.kind != Format::Kind::Sign && k % tile == 0 && tile % columnsAtOnce() == 0;
  }
  /// body(first, columns) for the tiles of a row: whole groups, blocks of moments and vectors of random words, but for
  /// the last.
  void forEachTile(llvm::function_ref<void(mlir::Value first, int64_t columns)> body);
  /// Before the new values of a tile.
  void begin(mlir::Value row, mlir::Value first, int64_t columns);
  /// What a step of a weight was: to be loaded before anything of the step is stored, since behind a store to the same
  /// place in another page a load waits.
  struct Old {
    mlir::Value codes, residual; ///< As they are in memory; null where the new values do not need them.
  };
  Old load(mlir::Value row, mlir::Value column, mlir::Value count);
  /// Asks for those of the columns from `first` on, which need not be there.
  void prefetch(mlir::Value row, mlir::Value first, int64_t columns);
  /// Directions of columns [first, first + length), whole groups or a part of one, count in units of a scalar.
  void countIn(mlir::Value unit, mlir::Value first, mlir::Value length);
  /// The new values of the step from its directions. Those of sign stay directions.
  void move(const Old &old, mlir::Value i, mlir::Value direction);
  /// The scale that a row of one group wants for its new values, in f32: not yet rounded to its type.
  mlir::Value wantedScale(mlir::Value row);
  /// New values of a tile to scales and zero points.
  void rescale(mlir::Value row, mlir::Value first, int64_t columns);
  /// And then to codes and residuals: of the tile, or of columnsAtOnce() from `column` on.
  void encodeTile(mlir::Value row, mlir::Value first, int64_t columns);
  void encodeAtOnce(mlir::Value row, mlir::Value column, mlir::Value i);
  int64_t columnsAtOnce() const;

private:
  /// Residuals count in this part of a scale.
  static constexpr float residualSteps = 256;

  mlir::VectorType floats() { return b.vec(b.getF32Type(), rowStep); }
  mlir::VectorType integers() { return b.vec(b.getI32Type(), rowStep); }
  mlir::Value splat(float value);
  mlir::Value splat(mlir::Value scalar) { return b.broadcast(floats(), scalar); }
  /// Where the code of a column begins.
  mlir::Value byteAt(mlir::Value row, mlir::Value column);
  mlir::Value groupAt(mlir::Value row, mlir::Value group) { return b.add(b.mul(row, format.groupCount(k)), group); }
  mlir::Value loadScale(mlir::Value row, mlir::Value group);
  mlir::Value loadZero(mlir::Value row, mlir::Value group);
  /// What codes stand for, in units of the old scale, as it is kept.
  mlir::Value signedValue(const Old &old);
  mlir::Value unsignedValue(const Old &old, mlir::Value i);
  /// The greatest absolute value of the tile's columns [first, last).
  mlir::Value greatestSize(mlir::Value first, mlir::Value last);
  /// Least and greatest of the tile's columns [first, last), and 0.
  std::pair<mlir::Value, mlir::Value> range(mlir::Value first, mlir::Value last);
  /// New scale and zero point of a group; gives the factor from old units to new.
  mlir::Value regroup(mlir::Value row, mlir::Value group, mlir::Value first, mlir::Value last);
  /// body(g, begin, length) for the groups of a tile, the last perhaps shorter: all count from its start.
  void forEachGroup(int64_t columns,
                    llvm::function_ref<void(mlir::Value g, mlir::Value begin, mlir::Value length)> body);
  /// What a tile keeps of its groups, or where groups end inside steps, of its columns.
  struct OfGroups {
    mlir::Value factors, zeros;
  };
  /// Keeps what factorOf(group, begin, end) writes for the groups of a tile, and their zero points: for
  /// perColumn().
  void keepFactors(const OfGroups &kept, mlir::Value row, mlir::Value first, int64_t columns,
                   llvm::function_ref<mlir::Value(mlir::Value group, mlir::Value begin, mlir::Value end)> factorOf);
  /// What a tile keeps for its groups or columns, in the lanes of a step.
  mlir::Value perColumn(mlir::Value ofTile, mlir::Value i);
  /// The lanes of a step that are the row's; null where all are.
  mlir::Value realLanes(mlir::Value count);
  /// A byte of sixteen i32, counted from the lowest, whose other bits may be anything.
  struct Byte {
    mlir::Value lanes;
    int64_t number = 0;
    int64_t most = 0; ///< Of the bits from it on, where codes can be above the greatest; else 0.
  };
  /// The new codes of a step, in low bits, and where the op has them residuals, less 128.
  struct Encoded {
    Byte codes, residuals;
  };
  Encoded encoded(mlir::Value i);
  /// Where isRoundedByAddition(): of values that meet this factor.
  Encoded encodedByAddition(mlir::Value value, mlir::Value factor, mlir::Value i);
  /// Of values that count in codes and may be beyond them.
  Encoded encodedInRange(mlir::Value value, mlir::Value i);
  mlir::Value carries(mlir::Value i) { return PhiloxRows::carries(b, tileCarries, turns, i); }
  /// Of values in fixed point, half a scale more than they are: the code is the integer part, the residual the eight
  /// bits behind it, rounded at random. A residual of 128 is the next code's of -128.
  static Encoded residualOf(KernelBuilder &b, mlir::Value fixed, mlir::Value random);
  /// Whether the new scale of a group takes its greatest value to the greatest code, and none above it.
  bool fillsCodes() const { return format.kind == Format::Kind::Int && scaling == ScaleUpdate::Group; }
  /// Whether a code and the fraction beside it, of as many bits as are random or more, are within a float or an
  /// integer.
  bool hasRoomForFraction() const { return format.bits <= 6; }
  /// Whether the addition that scales new values rounds them, too, as none is beyond the codes.
  bool isRoundedByAddition() const { return fillsCodes() && (rounding == Rounding::Nearest || hasRoomForFraction()); }
  /// With fillsCodes(): new values count in this part of the new scale where they are rounded, because so much is left
  /// of a float beside a code.
  float roundedPart() const;
  /// Takes a group's values to the least and the greatest that there are codes and residuals for, where its scale is
  /// the greatest of its type.
  void clampValues(mlir::Value first, mlir::Value last, mlir::Value factor);
  void encode(mlir::Value row, mlir::Value column, mlir::Value i, mlir::Value count);
  void storeResiduals(mlir::ArrayRef<mlir::Value> steps, const Byte &like, mlir::Value row, mlir::Value column,
                      mlir::Value count);

  KernelBuilder &b;
  RowMemory &memory;
  Format format;
  mlir::Type scaleType;
  ZeroPointType zeroType;
  Rounding rounding;
  ScaleUpdate scaling;
  int64_t k, group, tile;
  bool isByGroup; ///< Whether steps end where groups end; else the tile is the row.
  const StepOptions &options;
  mlir::Value codes, scales, zeros, residual;
  mlir::Value codeValues; ///< Of the codes, kept; null where they are computed.
  mlir::Value tileValues, tileCarries, tileMomentWords;
  mlir::Value directionUnit;     ///< What the old groups' rates are still to be multiplied by; null where nothing.
  mlir::Value turns;             ///< PhiloxRows::turnsOfCarries().
  OfGroups oldGroups, newGroups; ///< Kept rates by the old scales; factors from the old scales to the new.
};

} // namespace bq

#endif // BQ_PASSES_CPU_PACKEDSTEP_H

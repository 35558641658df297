// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random numbers for the columns of a row, the same whoever does the row.
#ifndef BQ_PASSES_CPU_PHILOXROWS_H
#define BQ_PASSES_CPU_PHILOXROWS_H

#include "passes/cpu/RowMemory.h"

namespace bq {

/// What random numbers are for: the fourth word of the counter.
enum class RandomStream { Weights = 0, Moments = 1 };

/// Columns whose numbers come from four counters, and those that one vector of counters serves: buffers of random
/// numbers are padded to a multiple of the latter.
constexpr int64_t philoxBlock = 256, philoxUnit = 1024;

/// The numbers that `bq.update` speaks of.
class PhiloxRows {
public:
  /// `counter`: 4 x i32, the seed in two words, then the step.
  PhiloxRows(KernelBuilder &b, mlir::Value counter);

  /// Writes the words of moments in columns [first, first + columns) of `row` to `words`, 1-D f32 whose bits they are;
  /// some that follow may be written too, up to a multiple of philoxUnit. All are indices, `first` a multiple of
  /// philoxBlock.
  void write(mlir::Value row, mlir::Value first, mlir::Value columns, mlir::Value words);
  /// The same, but of each philoxBlock of columns the words of the first sixteen only: turn() gives those of the next
  /// sixteen, and so on.
  void writeFirst(mlir::Value row, mlir::Value first, mlir::Value columns, mlir::Value words);
  /// The same of weights, for carries(): 0xffff less the low half of each word.
  void writeFirstCarries(mlir::Value row, mlir::Value first, mlir::Value columns, mlir::Value carries);
  /// What all turns take off the carries of the first sixteen columns of a block, for carries(): as many f32 as a block
  /// has sixteens.
  static mlir::Value turnsOfCarries(KernelBuilder &b);
  /// Of sixteen columns from the `column`th of writeFirstCarries() on, as i32: what carries, added below the point of a
  /// number in fixed point, where that is to be rounded up. `turns`: turnsOfCarries() in memory.
  static mlir::Value carries(KernelBuilder &b, mlir::Value first, mlir::Value turns, mlir::Value column);
  static mlir::Value turn(KernelBuilder &b, mlir::Value words);
  /// The same for their low halves alone, above which are zeros.
  static mlir::Value turnHalves(KernelBuilder &b, mlir::Value halves);

  /// Sixteen of them from `at` on, as i32.
  static mlir::Value load(KernelBuilder &b, mlir::Value words, mlir::Value at);
  /// A number of 16 bits as one in (0, 1).
  static mlir::Value unit(KernelBuilder &b, mlir::Value halves);
  /// The low or the high half of a number.
  static mlir::Value half(KernelBuilder &b, mlir::Value words, bool high);
  /// `x` rounded down or up to an integer, up with the probability of its fraction, as f32.
  static mlir::Value roundAtRandom(KernelBuilder &b, mlir::Value x, mlir::Value unit);

private:
  /// body(column, offset, words) for each block of [first, first + columns) of `row` and what pads them: it begins at
  /// first + column + offset, and its first columns have these words.
  void forEachBlock(mlir::Value row, mlir::Value first, mlir::Value columns, RandomStream stream,
                    llvm::function_ref<void(mlir::Value column, int64_t offset, mlir::Value words)> body);
  /// The sixteen words of a block, of four counters with four words each.
  mlir::Value join(mlir::ValueRange random, int64_t block);

  KernelBuilder &b;
  mlir::Value seed[2], step;
};

} // namespace bq

#endif // BQ_PASSES_CPU_PHILOXROWS_H

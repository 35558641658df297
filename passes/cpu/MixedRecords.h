// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How codes of each width of a `mixed` weight are decoded with AVX2, and some with VBMI, kept in memory.
#ifndef BQ_PASSES_CPU_MIXEDRECORDS_H
#define BQ_PASSES_CPU_MIXEDRECORDS_H

#include "dialect/core/MixedIndex.h"
#include "passes/cpu/MixedEights.h"
#include "passes/cpu/MixedLinear.h"

namespace bq {

/// A record for each width, to be read in a loop over groups of any. Records are named by the byte of `memory` that
/// they begin at: width * recordBytes.
class MixedRecords {
public:
  /// Widths whose codes become words, or bytes.
  static constexpr int64_t maxNarrow = 8;
  /// Which of words() and bytes() is called.
  enum class Narrow { None, Words, Bytes };
  static constexpr int64_t recordBytes = 256, allBytes = abi::MixedIndex::widths * recordBytes;
  /// The greatest record of those.
  static constexpr int64_t greatestNarrow = maxNarrow * recordBytes;

  /// `memory`: i8 [allBytes].
  MixedRecords(KernelBuilder &b, mlir::Value memory, Narrow narrow);

  /// Writes the records (i32) of groups `first` to `first + count` of the stream to `target`, eights of them; the
  /// greatest of those written.
  mlir::Value list(const MixedFrame &frame, mlir::Value codes, mlir::Value first, mlir::Value count,
                   mlir::Value target);

  /// Takes over where the next group of each width begins, in bits: i64 [widths].
  void begin(mlir::Value positions);
  /// A group's record, the byte that it begins at, and the bytes of eight codes: indices.
  struct Group {
    mlir::Value record, byte, eightBytes;
  };
  /// The next group of the record at `entry` of `listed`, of `size` codes.
  Group take(mlir::Value listed, mlir::Value entry, int64_t size);
  /// Whether words() or bytes() decodes the groups of a record.
  mlir::Value isNarrow(mlir::Value record);

  /// How sixteen codes become words: their bytes are shuffled to words, and the upper half of a product with a power of
  /// two moves them to the lower end. A code of up to 8 bits lies in two bytes.
  struct Words {
    mlir::Value order;   ///< i8 [32]
    mlir::Value factors; ///< i16 [16]
    mlir::Value mask;    ///< i16 [16]

    /// The codes in `bytes`, i8 [16], which begin with a byte: i16 [16].
    mlir::Value codesOf(KernelBuilder &b, mlir::Value bytes) const;
  };
  Words words(mlir::Value record);

  /// How 32 codes become bytes with VBMI: each eight of them are the bytes of a quad, which has the fields.
  struct Bytes {
    mlir::Value order;  ///< i8 [32]
    mlir::Value shifts; ///< i8 [32]
    mlir::Value mask;   ///< i8 [32]

    /// The codes in `bytes`, i8 [32], which begin with a byte: i8 [32].
    mlir::Value codesOf(KernelBuilder &b, mlir::Value bytes) const;
  };
  Bytes bytes(mlir::Value record);
  /// Of codes that begin with a byte.
  MixedEights eights(mlir::Value record);
  /// 1 / (2^width - 1): f32 [8].
  mlir::Value unit(mlir::Value record);

private:
  void keepWords(int64_t width);
  void keepBytes(int64_t width);
  mlir::Value part(mlir::VectorType type, mlir::Value record, int64_t offset);
  mlir::Value splat(mlir::VectorType type, mlir::Value record, int64_t offset);
  mlir::Value number(mlir::Value record, int64_t offset);
  void keep(mlir::Value value, mlir::Value record, int64_t offset);
  void keepNumber(mlir::Value index, mlir::Value record, int64_t offset);

  KernelBuilder &b;
  mlir::Value memory;
  const mlir::VectorType eightInts, sixteenWords, orders;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDRECORDS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eight weights of a row of the format `mixed`, from codes in the order in which they are saved.
#ifndef BQ_PASSES_GPU_MIXEDDECODER_H
#define BQ_PASSES_GPU_MIXEDDECODER_H

#include "dialect/core/CudaMixedAbi.h"
#include "dialect/core/Format.h"
#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// The weights of one thread. What differs from width to width is numbers, not code: lanes of a warp may have groups of
/// different widths, and no branch but for the second half of long codes depends on them.
class MixedDecoder {
public:
  using Value = mlir::Value;

  /// As cuda::MixedLinearFn has it.
  struct Memory {
    Value codes, scales, places, index;
  };

  /// Has the threads of a block compute what weights of a width share; every thread must come here.
  MixedDecoder(GpuBuilder &b, const Format &format, int64_t k, const Memory &memory);

  /// Rows of activations, and rows of the weight, that a block of threads has at most where it streams the weight: what
  /// fits the registers.
  static constexpr int64_t maxRows = cuda::maxStreamedRows, maxOutputs = 2;
  /// Whether rows and groups are whole eights, so that the codes of a piece are bytes in a row.
  static bool hasWholePieces(const Format &format, int64_t k) { return k % 8 == 0 && format.group % 8 == 0; }

  /// Row `row` of the weight as a row of the stream.
  Value streamRow(Value row) { return b.add(row, firstRow); }

  /// Of a piece, columns 8 piece .. 8 piece + 7 of a row of the stream, its number in the stream.
  Value numberOf(Value row, Value piece) { return b.add(b.mul(row, k / 8), piece); }
  /// Where the group of a piece has its codes.
  Value loadPlace(Value number);
  /// The codes of a piece, whose place is given: words of the stream, and what says where in them they are.
  mlir::SmallVector<Value> loadCodes(Value number, Value place);
  static constexpr int64_t codeValues = 7;
  /// The eight codes from the first bit of a word on, so that the registers they were loaded to are free.
  struct Piece {
    mlir::SmallVector<Value> words;
    Value width;
  };
  Piece align(mlir::ValueRange codes);
  /// The weights that they stand for, f32.
  mlir::SmallVector<Value> decode(const Piece &piece);

  /// The same where pieces are not whole: code by code. Columns from k on repeat the last.
  mlir::SmallVector<Value> decodeEach(Value row, Value piece);

private:
  Value widthOf(Value place) { return b.bitAnd(place, 15); }
  /// 32 bits of two words, `low` first, from bit `shift` on, up to 63.
  Value window(Value low, Value high, Value shift);
  Value mask(Value width) { return b.sub(shiftLeft(b.i32(1), width), 1); }
  Value shiftLeft(Value l, Value bits);
  Value weightOf(Value bits, Value mask, Value scale);

  GpuBuilder &b;
  const Format format;
  const int64_t k;
  const Memory memory;
  Value begins,
      scales; ///< Of each width in shared memory: the byte of the stream, and 2^23 times the step between two levels.
  Value firstRow, least;
};

} // namespace bq

#endif // BQ_PASSES_GPU_MIXEDDECODER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/PieceCodes.h"

using namespace mlir;
using namespace bq;

/// Offset of the piece's first byte.
static Value firstByte(GpuBuilder &b, Value row, const RowPiece &piece, const Format &format, int64_t k) {
  return b.add(b.mul(b.wide(row), format.rowBytes(k)), b.wide(b.mul(piece.number, format.bits)));
}

SmallVector<Value> bq::loadCodeBytes(GpuBuilder &b, Value codes, Value row, const RowPiece &piece, const Format &format,
                                     int64_t k) {
  Value first = firstByte(b, row, piece, format, k);
  SmallVector<Value> bytes;
  // Byte by byte, since a row may start anywhere.
  for (int64_t byte = 0; byte < format.rowBytes(piece.count); ++byte)
    bytes.push_back(b.load(codes, b.add(first, byte)));
  return bytes;
}

SmallVector<Value> bq::unpackCodes(GpuBuilder &b, ArrayRef<Value> bytes, int64_t count, const Format &format) {
  const int64_t bits = format.bits;
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t byte = i * bits / 8, shift = i * bits % 8;
    Value value = b.shiftRight(bytes[byte], shift);
    if (shift + bits > 8)
      value = b.bitOr(value, b.shiftLeft(bytes[byte + 1], 8 - shift));
    // What is shifted down from the top of a byte has nothing above it.
    values.push_back(shift + bits == 8 ? value : b.bitAnd(value, (1 << bits) - 1));
  }
  return values;
}

SmallVector<Value> bq::loadCodes(GpuBuilder &b, Value codes, Value row, const RowPiece &piece, const Format &format,
                                 int64_t k) {
  return unpackCodes(b, loadCodeBytes(b, codes, row, piece, format, k), piece.count, format);
}

void bq::storeCodes(GpuBuilder &b, ValueRange values, Value codes, const RowPiece &piece, const Format &format,
                    int64_t k) {
  const int64_t bits = format.bits;
  SmallVector<Value> bytes;
  for (int64_t byte = 0; byte < format.rowBytes(piece.count); ++byte) {
    Value word;
    for (int64_t i = byte * 8 / bits; i < std::min((byte * 8 + 8 + bits - 1) / bits, piece.count); ++i) {
      Value placed = b.shift(values[i], byte * 8 - i * bits);
      word = word ? b.bitOr(word, placed) : placed;
    }
    bytes.push_back(word);
  }
  storeCodeBytes(b, bytes, codes, piece, format, k);
}

void bq::storeCodeBytes(GpuBuilder &b, ValueRange bytes, Value codes, const RowPiece &piece, const Format &format,
                        int64_t k) {
  Value first = firstByte(b, piece.row, piece, format, k);
  for (auto [i, byte] : llvm::enumerate(bytes))
    b.store(byte, codes, b.add(first, static_cast<int64_t>(i)));
}

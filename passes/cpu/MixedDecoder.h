// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Fields of a canonical bit stream to vectors, with AVX512's VBMI: bytes to the lanes that hold their fields, then the
/// fields to the bytes of the lanes.
#ifndef BQ_PASSES_CPU_MIXEDDECODER_H
#define BQ_PASSES_CPU_MIXEDDECODER_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// Decodes vectors of 64 fields of one width, of up to 8 bits; up to 64 bytes of the stream are loaded at a
/// time, whatever the fields take.
class MixedDecoder {
public:
  /// `codes`: i8 [?], the stream.
  MixedDecoder(KernelBuilder &b, mlir::Value codes) : b(b), codes(codes) {}

  mlir::Value stream() const { return codes; }
  /// 64 codes of `width` bits (1 to 8), from byte `at` on: bytes.
  mlir::Value narrow(int64_t width, mlir::Value at);

  /// Codes [first, first + 16) of 64 as i32.
  mlir::Value widened(mlir::Value narrow, int64_t first);
  /// 64 codes of `width` bits (1 to 7), from byte `at` on, in bits 7 - width to 6 of bytes; anything in the others.
  mlir::Value mantissas(int64_t width, mlir::Value at);
  /// 1 + code / 2^width (f32) of codes [first, first + 16) of such bytes.
  mlir::Value floats(int64_t width, mlir::Value mantissas, int64_t first);
  /// Elements of a table of 16 floats; `numbers`: i32, 0 to 15.
  mlir::Value lookup(mlir::Value table, mlir::Value numbers);

  /// What decodes 32 codes of a width of 9 to 15 that is known when the kernel runs.
  struct Wide {
    mlir::Value order, shifts, mask;
  };
  /// `width`: i64.
  Wide wide(mlir::Value width);
  /// The codes from byte `at` on: 16-bit words.
  mlir::Value wideCodes(const Wide &wide, mlir::Value at);

  /// What decodes the widths of groups: fields of a number of bits (i64, up to 4) that is known when the kernel runs,
  /// above a least width (i8).
  struct Fields {
    mlir::Value order, shifts, mask, least;
  };
  Fields fields(mlir::Value bits, mlir::Value least);
  /// 64 widths, from `bit` (i64, 0 to 7) of byte `at` on: bytes.
  mlir::Value widths(const Fields &fields, mlir::Value at, mlir::Value bit);

  /// The elements of `values` where `mask` holds, one after the other; zeros behind.
  mlir::Value compress(mlir::Value values, mlir::Value mask);

private:
  mlir::VectorType quads() { return b.vec(b.getI64Type(), 8); }
  mlir::Value i64(int64_t value);
  mlir::Value constant(mlir::ArrayRef<int8_t> bytes);
  mlir::Value quadsOf(mlir::Value scalar) { return b.broadcast(quads(), scalar); }
  mlir::Value load(mlir::Value at) { return b.load(b.bytes(), codes, at); }
  /// What 64 fields of `width` bits take from byte `at` on; anything behind.
  mlir::Value loadFields(int64_t width, mlir::Value at);
  /// The bytes that begin at bits `first` + 0, width, ... from byte `at` on: 64 of them. Bits are counted in every
  /// eight fields by themselves, and in circles.
  mlir::Value fieldBytes(int64_t width, mlir::Value at, int64_t first);
  /// Bytes [first, first + 16) of `data` as byte `byte` of 32-bit lanes; anything in the others.
  mlir::Value spread(mlir::Value data, int64_t first, int64_t byte);
  /// Bytes of `data` by the byte indices of `order`.
  mlir::Value permute(mlir::Value data, mlir::Value order);
  /// For each byte of a quad the eight bits of it that begin where the byte of `shifts` says.
  mlir::Value extract(mlir::Value data, mlir::Value shifts);

  KernelBuilder &b;
  mlir::Value codes;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDDECODER_H

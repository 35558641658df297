// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Fields of a canonical bit stream to vectors, with AVX512's VBMI: bytes to the lanes that hold their fields, then the
/// fields to the bytes of the lanes.
#ifndef BQ_PASSES_CPU_MIXEDDECODER_H
#define BQ_PASSES_CPU_MIXEDDECODER_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// Decodes vectors of 64 fields of one width, of up to 8 bits, or of 32; up to 64 bytes of the stream are loaded at a
/// time, whatever the fields take.
class MixedDecoder {
public:
  /// `codes`: i8 [?], the stream.
  MixedDecoder(KernelBuilder &b, mlir::Value codes) : b(b), codes(codes) {}

  mlir::Value stream() const { return codes; }

  /// What decodes 64 fields of a width of up to 8 that is known when the kernel runs.
  struct Narrow {
    mlir::Value order, shifts, mask, others;
    int64_t loaded; ///< Bytes.
  };
  /// `width`: i64, 1 to `most`. Fields are codes; or mantissas, of up to 7 bits: below a bit that is one they are the
  /// code's, from the greatest on. The eights of fields are taken in this order.
  Narrow narrow(mlir::Value width, int64_t most, bool areMantissas, mlir::ArrayRef<int64_t> eights);
  /// Those from byte `at` on: bytes.
  mlir::Value fields(const Narrow &narrow, mlir::Value at);

  /// Sixteen of 64 codes as i32.
  mlir::Value widened(mlir::Value fields, mlir::ArrayRef<int64_t> numbers);
  /// 1 + code / 2^bits (f32) of sixteen of 64 mantissas.
  mlir::Value floats(mlir::Value fields, mlir::ArrayRef<int64_t> numbers);
  /// The same in bf16, which has them all: mantissas of the eights 0, 2, 4, 6, then of the others.
  mlir::SmallVector<mlir::Value> halves(mlir::Value fields);
  /// 17 + code / 16 of codes of 8 bits, in two parts that are added: both of the eights 0, 2, 4, 6, then of the others.
  mlir::SmallVector<mlir::Value> byteHalves(mlir::Value fields);
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
  /// Sixteen bytes of `data` as byte `byte` of 32-bit lanes, whose others are those of `around`.
  mlir::Value spread(mlir::Value data, mlir::ArrayRef<int64_t> numbers, int64_t byte, int64_t around);
  /// Bytes and one more for each of them, above it: the eights 0, 2, 4, 6, then the others.
  mlir::SmallVector<mlir::Value> interleaved(mlir::Value low, int64_t high);
  /// The order of the bytes of fields of so many bits (i64), the eights of which are taken in this order.
  mlir::Value orderOf(mlir::Value bits, mlir::ArrayRef<int64_t> eights);
  /// Bytes of `data` by the byte indices of `order`.
  mlir::Value permute(mlir::Value data, mlir::Value order);
  /// For each byte of a quad the eight bits of it that begin where the byte of `shifts` says.
  mlir::Value extract(mlir::Value data, mlir::Value shifts);

  KernelBuilder &b;
  mlir::Value codes;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDDECODER_H

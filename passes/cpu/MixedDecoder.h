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

  /// What is loaded for 64 codes of up to `most` bits: a load that crosses the end of a cache line takes twice as long.
  static int64_t bytesOf(int64_t most) { return 8 * most <= 32 ? 32 : 64; }

  /// How 64 codes of up to 8 bits become vectors of elements. A quad has codes in runs, one behind the other in a slot:
  /// as many as its lanes for each of `stride` vectors, which get them in turn. Slots of several runs are beside each
  /// other where they are short enough.
  struct Lanes {
    mlir::Type element;
    int64_t bits, stride, codes, vectors, runs, slots; ///< Codes of a run, slots of a quad.
    bool isFloat;
    bool areSpread; ///< Codes become bytes first, which are spread over lanes.
    Lanes(mlir::Type element, int64_t most, bool isDeinterleaved);
    mlir::VectorType integers(KernelBuilder &b) const { return b.vec(b.getIntegerType(bits), 512 / bits); }
  };
  /// What decodes codes of a width that is known when the kernel runs.
  struct Narrow {
    Lanes lanes;
    mlir::SmallVector<mlir::Value> orders; ///< Bytes of the stream to slots, for as many runs as a quad has slots.
    mlir::SmallVector<mlir::Value> shifts; ///< Bits of a quad that bytes of lanes begin with, by slot and vector.
    int64_t loaded;                        ///< Bytes.
    mlir::Value mask;                      ///< The code's bits of a lane, or of the byte that is spread.
    mlir::Value others;                    ///< The bits beside them; null where they are zero.
    mlir::Value places;                    ///< Where bytes that are spread belong, i1 [64].
  };
  /// `width`: i64, 1 to `most`. Codes become bytes (i8), or 1 + code / 2^bits (f32). Floats may be
  /// deinterleaved, which takes fewer instructions: of each 32 codes those at even places, then those at odd ones.
  Narrow narrow(mlir::Value width, int64_t most, mlir::Type element, bool isDeinterleaved = false);
  /// Those from byte `at` on, in that order: vectors of the element type.
  mlir::SmallVector<mlir::Value> codesFrom(mlir::Value at, const Narrow &narrow);

  /// What decodes 64 codes of a width of 1 to 8 that is known when the kernel runs to words. The byte of a code of the
  /// first 32 and that of one of the others are a word: masked it is the one, shifted the other.
  struct Words {
    mlir::Value order, shifts, mask, unused; ///< Bits of a word that are none of the code's.
    int64_t loaded;                          ///< Bytes.
  };
  /// `width`: i64, 1 to `most`.
  Words words(mlir::Value width, int64_t most);
  /// Those from byte `at` on: the first 32, and the others.
  std::pair<mlir::Value, mlir::Value> wordsFrom(mlir::Value at, const Words &words);

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
  /// `firstBytes`, `firstBits`: quads, whose first code begins there in each byte.
  mlir::SmallVector<mlir::Value> ordersOf(const Lanes &lanes, mlir::Value width, mlir::Value firstBytes);
  mlir::SmallVector<mlir::Value> shiftsOf(const Lanes &lanes, mlir::Value width, mlir::Value firstBits);
  mlir::Value quadsOf(mlir::Value scalar) { return b.broadcast(quads(), scalar); }
  /// 64 bytes of the stream, of which those behind the first `count` may be anything.
  mlir::Value load(mlir::Value at, int64_t count = 64);
  /// Bytes of `data` by the byte indices of `order`.
  mlir::Value permute(mlir::Value data, mlir::Value order);
  /// Vectors of f32 from bytes whose upper bit is set and whose others are the first of a mantissa: of each lane's four
  /// one for each vector.
  mlir::SmallVector<mlir::Value> spread(mlir::Value mantissas, mlir::Value places);

  KernelBuilder &b;
  mlir::Value codes;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDDECODER_H

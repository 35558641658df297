// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a packed weight means: the one format grammar, and the geometry of canonical codes.
#ifndef BQ_DIALECT_CORE_FORMAT_H
#define BQ_DIALECT_CORE_FORMAT_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bq {

/// `int<b>`, `uint<b>`, `nf4`, `fp4`, `lut<b>` or `mixed` with an optional group size `:g<G>`, or `sign`.
///
/// Canonical codes are uint8 [N, rowBytes(K)]: for each row a little-endian bit stream, code k at bits [k*b, (k+1)*b),
/// rows padded to a byte. Scales and zero points are [N, groupCount(K)]; the last group of a row may be short.
///
/// Of `mixed` each group has bits of its own, and groups are G weights of the flattened weight, or all of it: codes are
/// one stream (runtime/MixedStream.h), scales are [2], the least and the greatest weight. What is said of rows below
/// does not hold for it.
struct Format {
  enum class Kind { Int, UInt, NF4, FP4, Lut, Sign, Mixed };

  Kind kind = Kind::Int;
  int bits = 8;      ///< mixed: the most that a group may have.
  int64_t group = 0; ///< Codes that share a scale, along K; 0 = the whole row.

  /// Errors name the text, the rule, and what is accepted.
  static Expected<Format> parse(std::string_view text);
  /// The text that parse() takes back to this format.
  std::string str() const;

  /// Codes are indices into a table of 2^bits values.
  bool isTable() const { return kind == Kind::NF4 || kind == Kind::FP4 || kind == Kind::Lut; }
  /// What codes say, before zero points and scales, is exact in bf16: of all but tables of any values.
  bool isExactInBF16() const { return !isMixed() && (!isTable() || kind == Kind::FP4); }
  /// Weights are scale * (code - zero), zero given for each group.
  bool hasZeroPoints() const { return kind == Kind::UInt; }
  /// Scales are 1-D, a [N] then b [K], and there is one group.
  bool hasColumnScale() const { return kind == Kind::Sign; }
  /// Groups have bits of their own.
  bool isMixed() const { return kind == Kind::Mixed; }

  /// The least and the greatest value of a code, before zero point and scale: of int, uint and sign.
  int leastValue() const { return kind == Kind::Int ? -(1 << (bits - 1)) : kind == Kind::Sign ? -1 : 0; }
  int greatestValue() const { return kind == Kind::Int ? (1 << (bits - 1)) - 1 : (1 << bits) - 1; }
  int64_t groupSize(int64_t k) const { return group && group < k ? group : k; }
  int64_t groupCount(int64_t k) const { return k ? (k + groupSize(k) - 1) / groupSize(k) : 0; }
  /// Bytes of a row of canonical codes.
  int64_t rowBytes(int64_t k) const { return (k * bits + 7) / 8; }

  friend bool operator==(const Format &l, const Format &r) {
    return l.kind == r.kind && l.bits == r.bits && l.group == r.group;
  }
  friend bool operator!=(const Format &l, const Format &r) { return !(l == r); }
};

/// The 16 values of nf4 (QLoRA, Dettmers et al. 2023, appendix E), ascending.
extern const float nf4Table[16];
/// The 16 values of fp4, E2M1 by bit pattern (Open Compute Project, MX formats 1.0).
extern const float fp4Table[16];

} // namespace bq

#endif // BQ_DIALECT_CORE_FORMAT_H

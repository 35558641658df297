// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Canonical codes of the format `mixed`: one stream for a whole weight, whose groups have 1 to 15 bits each.
#ifndef BQ_RUNTIME_MIXEDSTREAM_H
#define BQ_RUNTIME_MIXEDSTREAM_H

#include "dialect/core/Status.h"
#include "runtime/Backend.h"

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

namespace bq {

/// Where everything is in a stream; the bytes themselves are the caller's. Immutable.
///
/// A stream is, with numbers in little-endian order: the number of weights (8 bytes); the least width m; the number f
/// of bits that the greatest width less m takes (each a byte); width - m of each group in f bits, padded to a byte;
/// then, for each width in ascending order, the levels of its groups one after the other, padded to a byte. Groups are
/// G weights of the flattened weight each; the last one may have fewer.
class MixedStream {
public:
  static constexpr int maxBits = 15;
  static constexpr int64_t headerBytes = 10;

  /// The groups of one width.
  struct Width {
    int64_t groups = 0;
    int64_t begin = 0; ///< Byte of the stream where their levels begin.
  };

  /// What the first headerBytes of a stream say.
  static uint64_t weightsOf(const uint8_t *stream);
  /// Groups that a weight of so many elements has; group size 0 is one group of all.
  static int64_t groupCount(int64_t weights, int64_t groupSize);

  /// The stream of `bytes` bytes for that many weights in such groups. All that decoding relies on is checked: errors
  /// give what is there and what is expected.
  static Expected<MixedStream> parse(const uint8_t *stream, int64_t bytes, int64_t weights, int64_t groupSize);
  /// The same from the number of weights that the stream says it has.
  static Expected<MixedStream> parse(const uint8_t *stream, int64_t bytes, int64_t groupSize);
  /// That of a canonical weight of the format mixed.
  static Expected<MixedStream> parse(const CanonicalWeight &weight);
  /// The stream to be made for groups of these widths, each 1 to maxBits. An error names the group.
  static Expected<MixedStream> plan(const uint8_t *bits, int64_t weights, int64_t groupSize);

  int64_t weights() const { return weightCount; }
  int64_t groupSize() const { return size; }
  int64_t groups() const { return groupCount(weightCount, size); }
  /// Weights of a group; fewer in the last.
  int64_t length(int64_t group) const { return std::min(size, weightCount - group * size); }
  int64_t bytes() const { return streamBytes; }
  int leastBits() const { return least; }
  int fieldBits() const { return field; }
  const Width &width(int bits) const { return widths[bits]; }
  /// Weights whose groups have this width.
  int64_t codesOf(int bits) const;

  /// The widths of `count` groups from `first` on.
  void loadBits(const uint8_t *stream, int64_t first, int64_t count, uint8_t *bits) const;
  /// For each `chunk` groups the number of groups of each width before them: [chunks][maxBits + 1].
  std::vector<uint32_t> ranks(const uint8_t *stream, int64_t chunk) const;
  /// The levels of weights [begin, end) of the group that is number `rank` of its width.
  void loadLevels(const uint8_t *stream, int bits, int64_t rank, int64_t begin, int64_t end, uint16_t *levels) const;

  /// Bytes of the stream before the first levels: what it says of itself, and the widths of its groups.
  int64_t levelsBegin() const { return headerBytes + (groups() * field + 7) / 8; }
  /// Writes those.
  void writeWidths(const uint8_t *bits, uint8_t *stream) const;
  /// The numbers of all groups in the order of the stream, from the levelsBegin() bytes that it begins with.
  std::vector<int32_t> order(const uint8_t *stream) const;

  /// Writes the stream: bytes() bytes. `levelsOf` gives the levels of a group, length(group) of them, and is called
  /// from several threads where groups are whole bytes. No level may need more bits than its group has.
  void write(const uint8_t *bits, const std::function<void(int64_t group, uint16_t *levels)> &levelsOf, uint8_t *stream,
             ParallelFor parallel) const;

private:
  MixedStream(int64_t weights, int64_t groupSize);
  /// From the counts of all widths.
  void place();
  void storeLevels(uint8_t *stream, int bits, int64_t rank, const uint16_t *levels, int64_t count) const;

  int64_t weightCount = 0, size = 0, streamBytes = 0;
  int least = 1, field = 0;
  int lastBits = 1; ///< Width of the last group, which may be short.
  std::array<Width, maxBits + 1> widths{};
};

} // namespace bq

#endif // BQ_RUNTIME_MIXEDSTREAM_H

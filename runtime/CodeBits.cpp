// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/CodeBits.h"

#include <algorithm>
#include <cstring>

using namespace bq;

namespace {

/// Fields of `width` bits below `place`, repeated at every multiple of `place`.
constexpr uint64_t fields(int width, int place) {
  uint64_t field = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1, mask = 0;
  for (int at = 0; at < 64; at += place)
    mask |= field << at;
  return mask;
}

} // namespace

void bq::unpackCodes(const uint8_t *row, int bits, int64_t count, uint8_t *codes, uint8_t flip) {
  // Eight codes are `bits` whole bytes. Three times the upper half of every field moves to a place of its own.
  const uint64_t low4 = fields(4 * bits, 64), low2 = fields(2 * bits, 32), low1 = fields(bits, 16);
  const uint64_t flips = flip * fields(1, 8);
  const int64_t bytes = (count * bits + 7) / 8;
  for (int64_t i = 0, at = 0; i < count; i += 8, at += bits) {
    uint64_t word = 0;
    if (bytes - at >= 8)
      std::memcpy(&word, row + at, 8);
    else
      std::memcpy(&word, row + at, std::min<int64_t>(bytes - at, bits));
    word = (word & low4) | (word >> (4 * bits) & low4) << 32;
    word = (word & low2) | (word >> (2 * bits) & low2) << 16;
    word = ((word & low1) | (word >> bits & low1) << 8) ^ flips;
    std::memcpy(codes + i, &word, std::min<int64_t>(8, count - i));
  }
}

void bq::packCodes(const uint8_t *codes, int bits, int64_t count, uint8_t *row) {
  std::fill_n(row, (count * bits + 7) / 8, uint8_t{0});
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = i * bits;
    unsigned word = codes[i] << (at % 8);
    row[at / 8] |= static_cast<uint8_t>(word);
    if (at % 8 + bits > 8)
      row[at / 8 + 1] |= static_cast<uint8_t>(word >> 8);
  }
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Philox4x32, random numbers from a counter.
#ifndef BQ_DIALECT_CORE_PHILOX_H
#define BQ_DIALECT_CORE_PHILOX_H

#include <array>
#include <cstdint>

namespace bq {

/// Rounds that kernels do: the fewest that the authors' tests find no fault in.
constexpr int philoxRounds = 7;

/// What is added, modulo 2^32, from one turn of a random word to the next where several numbers share one: both halves
/// go by the golden section of their range, so that the turns lie evenly in it, and each is as uniform as the word.
constexpr uint32_t philoxTurn = 0x9E379E37;

/// What is added to the words of the key, modulo 2^32, from one round to the next.
inline constexpr uint32_t philoxKeySteps[] = {0x9E3779B9, 0xBB67AE85};

/// 128 random bits of a counter and a key: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2,
/// 3", section 3.2.
inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    uint64_t p0 = uint64_t{0xD2511F53} * counter[0], p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += philoxKeySteps[0];
    key[1] += philoxKeySteps[1];
  }
  return counter;
}

} // namespace bq

#endif // BQ_DIALECT_CORE_PHILOX_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Sha256.h"

#include <c10/util/Exception.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>

using namespace bq;

namespace {

constexpr size_t blockBytes = 64;
using State = std::array<uint32_t, 8>;

uint32_t rotateRight(uint32_t word, int count) { return word >> count | word << (32 - count); }

/// The first 32 bits of the fractional part of root(p), for the first `count` primes p (FIPS 180-4, 4.2.2 and 5.3.3).
/// A long double holds 64 bits, of which the whole part of a root takes at most five.
template <size_t count>
std::array<uint32_t, count> primeRoots(long double (*root)(long double)) {
  std::array<uint32_t, count> words{};
  size_t found = 0;
  for (int candidate = 2; found < count; ++candidate) {
    bool isPrime = true;
    for (int divisor = 2; divisor * divisor <= candidate; ++divisor)
      isPrime = isPrime && candidate % divisor != 0;
    if (!isPrime)
      continue;
    const long double value = root(candidate);
    words[found++] = static_cast<uint32_t>((value - std::floor(value)) * 0x1p32L);
  }
  return words;
}

void addBlock(State &state, const uint8_t *block) {
  static const std::array<uint32_t, 64> constants = primeRoots<64>([](long double value) { return std::cbrt(value); });
  std::array<uint32_t, 64> words;
  for (size_t i = 0; i < 16; ++i)
    words[i] = uint32_t(block[4 * i]) << 24 | uint32_t(block[4 * i + 1]) << 16 | uint32_t(block[4 * i + 2]) << 8 |
               block[4 * i + 3];
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t early = words[i - 15], late = words[i - 2];
    words[i] = words[i - 16] + words[i - 7] + (rotateRight(early, 7) ^ rotateRight(early, 18) ^ early >> 3) +
               (rotateRight(late, 17) ^ rotateRight(late, 19) ^ late >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t first = h + (rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25)) + ((e & f) ^ (~e & g)) +
                           constants[i] + words[i];
    const uint32_t second =
        (rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  const State mixed{a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < state.size(); ++i)
    state[i] += mixed[i];
}

} // namespace

std::string golden::fileSha256(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  TORCH_CHECK(file, path, ": ", std::strerror(errno));
  State state = primeRoots<8>([](long double value) { return std::sqrt(value); });
  std::array<uint8_t, 2 * blockBytes> tail{};
  std::array<char, 1024 * blockBytes> chunk;
  uint64_t total = 0;
  size_t left = 0;
  do {
    file.read(chunk.data(), chunk.size());
    const auto got = static_cast<size_t>(file.gcount());
    total += got;
    const auto *bytes = reinterpret_cast<const uint8_t *>(chunk.data());
    for (left = got; left >= blockBytes; left -= blockBytes, bytes += blockBytes)
      addBlock(state, bytes);
    std::memcpy(tail.data(), bytes, left);
  } while (file);
  TORCH_CHECK(file.eof(), path, ": cannot read: ", std::strerror(errno));

  tail[left] = 0x80;
  const size_t end = left + 1 + sizeof(uint64_t) <= blockBytes ? blockBytes : 2 * blockBytes;
  for (size_t i = 0; i < sizeof(uint64_t); ++i)
    tail[end - 1 - i] = static_cast<uint8_t>(total * 8 >> 8 * i);
  for (size_t at = 0; at < end; at += blockBytes)
    addBlock(state, tail.data() + at);
  std::string digest;
  for (uint32_t word : state) {
    char text[9];
    std::snprintf(text, sizeof(text), "%08x", word);
    digest += text;
  }
  return digest;
}

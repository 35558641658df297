// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Choosing few cases out of a product of factors, so that every pair of levels occurs together.
#ifndef BQ_TEST_CONFORMANCE_COVER_H
#define BQ_TEST_CONFORMANCE_COVER_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bq::conformance {

/// Numbers from a seed, the same on every machine and standard library.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  /// 64 uniform bits (SplitMix64).
  uint64_t next();
  /// Uniform in [0, count).
  int64_t below(int64_t count) { return static_cast<int64_t>(next() % static_cast<uint64_t>(count)); }
  /// Uniform in [-1, 1), a multiple of 2^-24.
  float unit() { return static_cast<float>(below(1 << 25) - (1 << 24)) * 0x1p-24f; }

private:
  uint64_t state;
};

/// The seed of case `number` of a part of the suite.
inline uint64_t caseSeed(uint64_t seed, size_t number) { return seed * 1000003 + number; }

/// Rows of one level for each factor (`levels`: how many each has), such that every combination of levels of any two
/// factors, and of the factors of each of `together`, is in some row. Greedy; the same for the same seed.
std::vector<std::vector<int>> coverPairs(const std::vector<int> &levels, std::vector<std::vector<int>> together,
                                         uint64_t seed);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_COVER_H

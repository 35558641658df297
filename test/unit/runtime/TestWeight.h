// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Canonical weights for tests of prepacking.
#ifndef BQ_TEST_UNIT_RUNTIME_TESTWEIGHT_H
#define BQ_TEST_UNIT_RUNTIME_TESTWEIGHT_H

#include "dialect/core/Half.h"
#include "runtime/Backend.h"

#include <random>
#include <string>
#include <vector>

namespace bq::test {

/// A weight of random codes that owns its memory; scale and zero point of row r, group g are recognizable.
struct Weight {
  Weight(const std::string &text, int64_t n, int64_t k, ElementType scaleType = ElementType::F32,
         ZeroPointType zeroType = ZeroPointType::U8) {
    canonical.format = *Format::parse(text);
    canonical.n = n;
    canonical.k = k;
    const Format &format = canonical.format;
    std::mt19937 random(7);
    codes.resize(n * format.rowBytes(k));
    for (uint8_t &byte : codes)
      byte = static_cast<uint8_t>(random());
    int64_t scaleCount = n * format.groupCount(k) + (format.hasColumnScale() ? k : 0);
    scales.resize(scaleCount * sizeOf(scaleType));
    for (int64_t i = 0; i < scaleCount; ++i)
      storeElement(scaleType, scales.data(), i, static_cast<float>(1 + i % 2039) / 8);
    canonical.codes = codes.data();
    canonical.scales = scales.data();
    canonical.scaleType = scaleType;
    if (format.hasZeroPoints()) {
      byteZeros.resize(n * format.groupCount(k));
      floatZeros.resize(byteZeros.size());
      for (size_t i = 0; i < byteZeros.size(); ++i)
        floatZeros[i] = byteZeros[i] = static_cast<uint8_t>(i % 251);
      canonical.zeroType = zeroType;
      canonical.zeros = zeroType == ZeroPointType::U8 ? static_cast<const void *>(byteZeros.data()) : floatZeros.data();
    }
    if (format.kind == Format::Kind::Lut)
      canonical.table = nf4Table;
  }

  /// What a kernel reads: the canonical code, bit by bit as the grammar of formats describes it; for int as value +
  /// 2^(bits-1), which is its two's complement with the other sign bit.
  uint8_t packedAt(int64_t row, int64_t column) const {
    int bits = canonical.format.bits, code = 0;
    for (int i = 0; i < bits; ++i) {
      int64_t bit = column * bits + i;
      code |= (codes[row * canonical.format.rowBytes(canonical.k) + bit / 8] >> (bit % 8) & 1) << i;
    }
    return static_cast<uint8_t>(canonical.format.kind == Format::Kind::Int ? code ^ 1 << (bits - 1) : code);
  }

  CanonicalWeight canonical;
  std::vector<uint8_t> codes, scales, byteZeros;
  std::vector<float> floatZeros;
};

/// Of every kind and width, groups of all relations to segments.
constexpr const char *weightFormats[] = {"int2:g7", "int3:g64", "int4:g128", "int5:g30", "int6:g32",
                                         "int7",    "int8:g16", "uint1:g8",  "uint4",    "uint8:g96",
                                         "nf4:g64", "fp4:g32",  "lut3:g300", "sign"};

} // namespace bq::test

#endif // BQ_TEST_UNIT_RUNTIME_TESTWEIGHT_H

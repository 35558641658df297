// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Weight.h"
#include "dialect/core/Half.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace bq;
using namespace bq::conformance;

namespace {

template <typename T>
GuardedBuffer guarded(const std::vector<T> &values) {
  GuardedBuffer buffer(static_cast<int64_t>(values.size() * sizeof(T)));
  if (!values.empty())
    std::memcpy(buffer.data(), values.data(), values.size() * sizeof(T));
  return buffer;
}

/// The little-endian bit stream of each row, padded to a byte.
std::vector<uint8_t> pack(const std::vector<uint8_t> &codes, int bits, int64_t n, int64_t k) {
  std::vector<uint8_t> bytes;
  for (int64_t row = 0; row < n; ++row) {
    unsigned pending = 0;
    int filled = 0;
    for (int64_t column = 0; column < k; ++column) {
      pending |= static_cast<unsigned>(codes[row * k + column]) << filled;
      for (filled += bits; filled >= 8; filled -= 8, pending >>= 8)
        bytes.push_back(static_cast<uint8_t>(pending));
    }
    if (filled)
      bytes.push_back(static_cast<uint8_t>(pending));
  }
  return bytes;
}

float extremeScale(ElementType type, Random &random) {
  const bool f16 = type == ElementType::F16;
  const float choices[] = {0.0f, minNormal(type), f16 ? 0x1p-24f : 0x1p-130f, f16 ? 60000.0f : 1e18f, -1.0f, 0.01f};
  return choices[random.below(6)];
}

} // namespace

Weight::Weight(const WeightShape &shape, Random &random) : made(shape) {
  const int64_t k = made.k;
  if (made.permuted) {
    for (int64_t column = 0; column < k; ++column)
      groupIndex.push_back(static_cast<int32_t>(column / made.format.groupSize(k)));
    for (int64_t i = k; i > 1; --i)
      std::swap(groupIndex[i - 1], groupIndex[random.below(i)]);
    packedGroupIndex = guarded(groupIndex);
  }
  makeCodes(random);
  makeScales(random);
  if (made.columnFactors) {
    for (int64_t column = 0; column < k; ++column)
      factors.push_back((1.5f + random.unit()) * (random.below(8) ? 1.0f : -1.0f));
    packedFactors = guarded(factors);
  }
}

void Weight::makeCodes(Random &random) {
  const int bits = made.format.bits;
  const uint8_t top = static_cast<uint8_t>(1 << (bits - 1)), mask = static_cast<uint8_t>(2 * top - 1);
  const uint8_t extremes[] = {0, mask, top, static_cast<uint8_t>(top - 1)};
  for (int64_t row = 0; row < made.n; ++row) {
    const uint8_t extreme = extremes[random.below(4)];
    for (int64_t column = 0; column < made.k; ++column)
      codes.push_back(made.values == WeightValues::ExtremeCodes ? extreme : static_cast<uint8_t>(random.next() & mask));
  }
  packedCodes = guarded(pack(codes, bits, made.n, made.k));
}

void Weight::makeScales(Random &random) {
  const Format &format = made.format;
  const bool extreme = made.values == WeightValues::ExtremeScales;
  const int64_t groups = made.n * format.groupCount(made.k);
  const int64_t count = format.hasColumnScale() ? made.n + made.k : groups;
  packedScales = GuardedBuffer(count * sizeOf(made.scaleType));
  for (int64_t i = 0; i < count; ++i) {
    float scale = (1.5f + random.unit()) * (random.below(8) ? 0x1p-5f : -0x1p-5f);
    scale = roundTo(made.scaleType, extreme ? extremeScale(made.scaleType, random) : scale);
    scales.push_back(scale);
    storeElement(made.scaleType, packedScales.data(), i, scale);
  }

  const float levels = static_cast<float>(1 << format.bits);
  if (made.zeroType == ZeroPointType::U8) {
    std::vector<uint8_t> bytes;
    for (int64_t i = 0; i < groups; ++i)
      bytes.push_back(static_cast<uint8_t>(random.below(extreme ? 256 : 1 << format.bits)));
    zeros.assign(bytes.begin(), bytes.end());
    packedZeros = guarded(bytes);
  } else if (made.zeroType == ZeroPointType::F32) {
    for (int64_t i = 0; i < groups; ++i)
      zeros.push_back(extreme ? 1000.5f * random.unit() : (random.unit() + 1) * 0.5f * levels);
    packedZeros = guarded(zeros);
  }

  if (format.kind == Format::Kind::NF4 || format.kind == Format::Kind::FP4) {
    const float *values = format.kind == Format::Kind::NF4 ? nf4Table : fp4Table;
    table.assign(values, values + 16);
  } else if (format.kind == Format::Kind::Lut) {
    const bool nothing = extreme && random.below(4) == 0;
    for (int i = 0; i < 1 << format.bits; ++i)
      table.push_back(nothing ? 0 : extreme && i == 0 ? -1000.0f : random.unit());
    packedTable = guarded(table);
  }
}

CanonicalWeight Weight::canonical() const {
  CanonicalWeight weight;
  weight.format = made.format;
  weight.n = made.n;
  weight.k = made.k;
  weight.codes = packedCodes.data();
  weight.scales = packedScales.data();
  weight.scaleType = made.scaleType;
  weight.zeros = made.zeroType == ZeroPointType::None ? nullptr : packedZeros.data();
  weight.zeroType = made.zeroType;
  weight.table = made.format.kind == Format::Kind::Lut ? reinterpret_cast<const float *>(packedTable.data()) : nullptr;
  weight.columnFactors = factors.empty() ? nullptr : reinterpret_cast<const float *>(packedFactors.data());
  weight.groupIndex = groupIndex.empty() ? nullptr : reinterpret_cast<const int32_t *>(packedGroupIndex.data());
  return weight;
}

int64_t Weight::group(int64_t row, int64_t column) const {
  const Format &format = made.format;
  if (format.hasColumnScale())
    return row;
  return row * format.groupCount(made.k) +
         (groupIndex.empty() ? column / format.groupSize(made.k) : groupIndex[column]);
}

double Weight::factor(int64_t row, int64_t column) const { return scales[group(row, column)]; }

double Weight::unit(int64_t row, int64_t column) const {
  const int code = codes[row * made.k + column], half = 1 << (made.format.bits - 1);
  switch (made.format.kind) {
  case Format::Kind::Int:
    return code < half ? code : code - 2 * half;
  case Format::Kind::UInt:
    return code - static_cast<double>(zeros[group(row, column)]);
  case Format::Kind::Sign:
    return code == 1 ? 1 : -1;
  case Format::Kind::NF4:
  case Format::Kind::FP4:
  case Format::Kind::Lut:
    return table[code];
  }
  return 0;
}

double Weight::columnFactor(int64_t column) const {
  if (!factors.empty())
    return factors[column];
  return made.format.hasColumnScale() ? scales[made.n + column] : 1;
}

double Weight::unitTerms(int64_t row, int64_t column) const {
  const int code = codes[row * made.k + column], half = 1 << (made.format.bits - 1);
  switch (made.format.kind) {
  case Format::Kind::Int: // code + half, less half
    return unit(row, column) + half + half;
  case Format::Kind::UInt:
    return code + std::fabs(static_cast<double>(zeros[group(row, column)]));
  case Format::Kind::Sign: // 2 * (code - 1/2)
    return 2 * code + 1;
  case Format::Kind::NF4:
  case Format::Kind::FP4:
  case Format::Kind::Lut: // (entry / greatest * 127 + 128), less 128, in units of greatest / 127
    return std::fabs(unit(row, column)) + 2 * 128.0 / 127 * tableMax();
  }
  return 0;
}

double Weight::tableMax() const {
  double greatest = 0;
  for (float entry : table)
    greatest = std::max(greatest, std::fabs(static_cast<double>(entry)));
  return greatest;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/WeightParts.h"

#include "dialect/core/Half.h"
#include "runtime/CodeBits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace bq;

Status bq::verifyIndices(const CanonicalWeight &weight, const int64_t *indices, int64_t count, const void *y) {
  if (count < 0)
    return invalidArgument("count is " + std::to_string(count) + ": an embedding has 0 indices or more");
  if (!count)
    return {};
  if (!indices || !y)
    return invalidArgument(std::string(indices ? "y" : "indices") + " is null: count is " + std::to_string(count));
  for (int64_t i = 0; i < count; ++i)
    if (indices[i] < 0 || indices[i] >= weight.n)
      return invalidArgument("indices[" + std::to_string(i) + "] is " + std::to_string(indices[i]) +
                             ": the weight has rows 0 to " + std::to_string(weight.n - 1));
  return {};
}

std::vector<int32_t> bq::columnsByGroup(const CanonicalWeight &weight) {
  if (!weight.groupIndex || std::is_sorted(weight.groupIndex, weight.groupIndex + weight.k))
    return {};
  std::vector<int32_t> order(weight.k);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t l, int32_t r) { return weight.groupIndex[l] < weight.groupIndex[r]; });
  return order;
}

const float *bq::tableOf(const CanonicalWeight &weight) {
  switch (weight.format.kind) {
  case Format::Kind::NF4:
    return nf4Table;
  case Format::Kind::FP4:
    return fp4Table;
  default:
    return weight.table;
  }
}

std::vector<float> bq::columnScaleOf(const CanonicalWeight &weight, const std::vector<int32_t> &columns) {
  const bool hasScale = weight.format.hasColumnScale();
  std::vector<float> scales(hasScale || weight.columnFactors ? weight.k : 0);
  for (size_t i = 0; i < scales.size(); ++i) {
    const int64_t column = columns.empty() ? static_cast<int64_t>(i) : columns[i];
    scales[i] =
        hasScale ? loadElement(weight.scaleType, weight.scales, weight.n + column) : weight.columnFactors[column];
  }
  return scales;
}

int64_t bq::zeroPointBytes(ZeroPointType type) {
  return type == ZeroPointType::None ? 0 : type == ZeroPointType::U8 ? 1 : 4;
}

FixedPointTable::FixedPointTable(const float *values, int count) : values(values) {
  for (int i = 0; i < count; ++i) {
    max = std::max(max, std::fabs(values[i]));
    isFinite &= std::isfinite(values[i]);
  }
}

int FixedPointTable::at(int index, int levels) const {
  return isFinite && max > 0 ? static_cast<int>(std::lround(values[index] / max * static_cast<float>(levels))) : 0;
}

float FixedPointTable::scale(int levels) const { return isFinite ? max / static_cast<float>(levels) : NAN; }

RowCodes::RowCodes(const CanonicalWeight &weight, const std::vector<int32_t> &columns)
    : weight(weight), columns(columns), codes(weight.k), sorted(columns.size()) {}

const uint8_t *RowCodes::get(int64_t row) {
  const Format &format = weight.format;
  const uint8_t flip = format.kind == Format::Kind::Int ? 1 << (format.bits - 1) : 0;
  unpackCodes(weight.codes + row * format.rowBytes(weight.k), format.bits, weight.k, codes.data(), flip);
  if (columns.empty())
    return codes.data();
  for (int64_t i = 0; i < weight.k; ++i)
    sorted[i] = codes[columns[i]];
  return sorted.data();
}

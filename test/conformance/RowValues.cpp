// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/RowValues.h"

#include "dialect/core/Half.h"

#include <cmath>

using namespace bq;
using namespace bq::conformance;

std::string conformance::nameOf(RowValues kind) {
  static constexpr const char *names[rowValuesCount] = {"normal", "equal", "zero",     "denormal", "tiny",
                                                        "huge",   "spike", "infinite", "nan"};
  return names[static_cast<int>(kind)];
}

static float valueOf(RowValues kind, ElementType type, bool chosenColumn, Random &random) {
  switch (kind) {
  case RowValues::Normal:
    return random.unit();
  case RowValues::Equal:
    return 0.7f;
  case RowValues::Zero:
    return 0;
  case RowValues::Denormal:
    return random.unit() * minNormal(type);
  case RowValues::Tiny: // normal, but with f32 steps below the least normal number
    return type == ElementType::F16 ? random.unit() * 0x1p-12f : random.unit() * 0x1p-110f;
  case RowValues::Huge:
    return random.unit() * (type == ElementType::F16 ? 60000.0f : 1e30f);
  case RowValues::Spike:
    return chosenColumn ? 1000.0f : random.unit() * 0.01f;
  case RowValues::Infinite:
    return chosenColumn ? (random.below(2) ? INFINITY : -INFINITY) : random.unit();
  case RowValues::NaN:
    return chosenColumn ? NAN : random.unit();
  }
  return 0;
}

std::vector<float> conformance::makeRows(RowValues kind, ElementType type, int64_t m, int64_t columns, Random &random) {
  std::vector<float> rows;
  for (int64_t i = 0; i < m; ++i) {
    const RowValues own = kind == RowValues::Equal || i % 3 == m / 2 % 3 ? kind : RowValues::Normal;
    const int64_t chosen = random.below(columns);
    for (int64_t column = 0; column < columns; ++column)
      rows.push_back(roundTo(type, valueOf(own, type, column == chosen, random)));
  }
  return rows;
}

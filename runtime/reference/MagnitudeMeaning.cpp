// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/MagnitudeMeaning.h"

#include "dialect/core/Half.h"

#include <algorithm>
#include <cmath>

using namespace bq;

double bq::reference::magnitude(const MagnitudeSumsArgs &args, int64_t row, int64_t column) {
  const double value = loadElement(args.dataType, args.weight, row * args.stride + column);
  return args.square ? value * value : std::fabs(value);
}

float bq::reference::nextFactor(const MagnitudeSumsArgs &args, int64_t row, float sum) {
  const double factor = args.rowFactors[row], value = sum;
  return static_cast<float>(args.divide ? factor / std::max<double>(value, args.floor) : factor * value);
}

void bq::reference::magnitudeSums(const MagnitudeSumsArgs &args) {
  std::fill(args.columns, args.columns + args.k, 0.0);
  for (int64_t row = 0; row < args.n; ++row) {
    double sum = 0;
    for (int64_t column = 0; column < args.k; ++column)
      sum += magnitude(args, row, column) * args.columnFactors[column];
    args.rows[row] = static_cast<float>(args.rowFactors[row] * sum);
    args.next[row] = nextFactor(args, row, args.rows[row]);
    for (int64_t column = 0; column < args.k; ++column)
      args.columns[column] += magnitude(args, row, column) * args.next[row];
  }
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/MagnitudeSumsArgs.h"

#include <limits>
#include <string>

using namespace bq;

Status MagnitudeSumsArgs::verify() const {
  auto refuse = [](const char *field, auto value, const char *rule) {
    return invalidArgument(std::string(field) + " is " + std::to_string(value) + ": " + rule);
  };
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (n < 0 || n > most)
    return refuse("n", n, "a weight has 0 to 2147483647 rows");
  if (k < 1 || k > most)
    return refuse("k", k, "a weight has 1 to 2147483647 columns");
  if (n > 1 && stride < k)
    return refuse("stride", stride, "rows are at least as far apart as they are long");
  if (divide && !(floor > 0))
    return refuse("floor", floor, "sums are divided by, so use a positive number");
  if (!columns || !columnFactors || (n && (!weight || !rowFactors || !rows || !next)))
    return invalidArgument("weight, factors and results of " + std::to_string(n) + " x " + std::to_string(k) +
                           " magnitudes must all be given, one is null");
  return {};
}

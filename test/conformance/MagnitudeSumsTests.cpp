// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "dialect/core/KernelAbi.h"
#include "runtime/reference/MagnitudeMeaning.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace bq;
using namespace bq::conformance;

namespace {

enum class Values { Normal, Wide, Zeros };
constexpr const char *valueNames[] = {"normal", "wide", "zeros"};
/// Less than, equal to and more than a chunk, one, odd.
constexpr int64_t chunkedRowCounts[] = {1, 5, 63, 64, 65, 130};
/// Elements between the end of a row and the next.
constexpr int64_t gaps[] = {0, 3};

struct MagnitudeCase {
  int64_t n = 1, k = 1, gap = 0;
  ElementType dataType = ElementType::F32;
  bool square = false, divide = false;
  Values values = Values::Normal;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    return std::string(square ? "squares" : "magnitudes") + (divide ? "_divide_" : "_multiply_") +
           std::string(str(dataType)) + "_n" + std::to_string(n) + "k" + std::to_string(k) + "_" +
           valueNames[static_cast<int>(values)];
  }
};

std::vector<MagnitudeCase> magnitudeCases(uint64_t seed) {
  enum { Rows, Columns, Gap, Data, Square, Divide, Value, Par };
  const std::vector<int> levels = {
      std::size(chunkedRowCounts), shortColumnCounts.size(), std::size(gaps), elementTypes.size(), 2, 2,
      std::size(valueNames),       parallelForCount};
  std::vector<MagnitudeCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed)) {
    MagnitudeCase c;
    c.n = chunkedRowCounts[row[Rows]];
    c.k = shortColumnCounts[row[Columns]];
    c.gap = gaps[row[Gap]];
    c.dataType = elementTypes[row[Data]];
    c.square = row[Square];
    c.divide = row[Divide];
    c.values = static_cast<Values>(row[Value]);
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  return cases;
}

/// A weight; squares and their sums stay normal numbers of f32, whatever the factors.
float makeValue(const MagnitudeCase &c, Random &random) {
  switch (c.values) {
  case Values::Normal:
    return random.unit();
  case Values::Wide:
    return std::ldexp(random.below(2) ? 1.0f : -1.25f, static_cast<int>(random.below(24)) - 12);
  case Values::Zeros:
    return random.below(3) ? 0.0f : random.unit();
  }
  return 0;
}

/// A result and what it may differ by.
void expectNear(const char *what, int64_t index, double got, double expected, double bound) {
  EXPECT_LE(std::fabs(got - expected), bound) << what << "[" << index << "] is " << got << ", not " << expected;
  if (bound > 0)
    noteRatio(std::string("magnitude_sums ") + what, std::fabs(got - expected) / bound);
}

/// Relative error of c roundings of f32 in turn.
double roundings(double c) { return c * std::ldexp(1.0, -24) / (1 - c * std::ldexp(1.0, -24)); }

/// All terms are positive, so that roundings are relative errors of sums. A term of a row meets the square, the product
/// with the column's factor, at most K sums, and the row's factor: K + 3. The next factor inherits that and rounds
/// once more, the division too. A column adds up at most a chunk of rows in f32, squares and products rounded before,
/// and chunks in double; its terms are taken with the factors that the backend gave.
void checkResults(const MagnitudeSumsArgs &args) {
  const double ofRow = roundings(static_cast<double>(args.k) + 3), ofColumn = roundings(bq::abi::magnitudeChunk + 3);
  const double least = std::numeric_limits<float>::min();
  std::vector<double> columns(args.k);
  for (int64_t row = 0; row < args.n; ++row) {
    double sum = 0;
    for (int64_t column = 0; column < args.k; ++column) {
      const double e = reference::magnitude(args, row, column);
      sum += e * args.columnFactors[column];
      columns[column] += e * args.next[row];
    }
    const double expected = args.rowFactors[row] * sum;
    expectNear("rows", row, args.rows[row], expected, ofRow * expected + least);
    const double next = reference::nextFactor(args, row, args.rows[row]);
    expectNear("next", row, args.next[row], next, roundings(2) * std::fabs(next) + least);
  }
  for (int64_t column = 0; column < args.k; ++column)
    expectNear("columns", column, args.columns[column], columns[column], ofColumn * columns[column] + least);
}

void runMagnitudeSums(const Subject &subject, const MagnitudeCase &c) {
  Random random(c.seed);
  const int64_t stride = c.k + c.gap;
  const GuardedBuffer weight(((c.n - 1) * stride + c.k) * sizeOf(c.dataType)), rowFactors(c.n * 4),
      columnFactors(c.k * 4), rows(c.n * 4), next(c.n * 4), columns(c.k * 8);
  for (int64_t row = 0; row < c.n; ++row)
    for (int64_t column = 0; column < c.k; ++column)
      storeElement(c.dataType, weight.data(), row * stride + column, makeValue(c, random));
  for (const GuardedBuffer *factors : {&rowFactors, &columnFactors})
    for (int64_t i = 0; i < factors->size() / 4; ++i)
      storeElement(ElementType::F32, factors->data(), i, 1.25f + random.unit());

  MagnitudeSumsArgs args;
  args.dataType = c.dataType;
  args.n = c.n;
  args.k = c.k;
  args.weight = weight.data();
  args.stride = stride;
  args.square = c.square;
  args.divide = c.divide;
  args.floor = 0.5f;
  args.rowFactors = reinterpret_cast<const float *>(rowFactors.data());
  args.columnFactors = reinterpret_cast<const float *>(columnFactors.data());
  args.rows = reinterpret_cast<float *>(rows.data());
  args.next = reinterpret_cast<float *>(next.data());
  args.columns = reinterpret_cast<double *>(columns.data());
  Status status = subject.backend->magnitudeSums(args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  for (const GuardedBuffer *results : {&rows, &next, &columns})
    EXPECT_TRUE(results->intactBefore()) << "memory before results was written";
  checkResults(args);

  // The same bits however the work is dealt out.
  const std::vector<float> rowsBefore(args.rows, args.rows + c.n), nextBefore(args.next, args.next + c.n);
  const std::vector<double> columnsBefore(args.columns, args.columns + c.k);
  ASSERT_TRUE(subject.backend->magnitudeSums(args, parallelFor((c.parallel + 1) % parallelForCount)));
  EXPECT_TRUE(std::equal(rowsBefore.begin(), rowsBefore.end(), args.rows)) << "rows depend on the threads";
  EXPECT_TRUE(std::equal(nextBefore.begin(), nextBefore.end(), args.next)) << "next depends on the threads";
  EXPECT_TRUE(std::equal(columnsBefore.begin(), columnsBefore.end(), args.columns)) << "columns depend on the threads";
}

} // namespace

void bq::conformance::addMagnitudeSumsTests(const Subject &subject, uint64_t seed) {
  if (!subject.hasMagnitudeSums)
    return;
  const std::vector<MagnitudeCase> cases = magnitudeCases(seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const MagnitudeCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "MagnitudeSums", numbered(index) + "_" + c.name(), [=] { runMagnitudeSums(subject, c); });
}

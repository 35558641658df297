// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "test/conformance/Bounds.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr int64_t embeddedCounts[] = {0, 1, 5, 33};
constexpr int64_t weightRows[] = {1, 2, 7, 40};

struct RowCase {
  WeightShape weight;
  int64_t indices = -1; ///< Rows to embed; -1 = dequantize the whole weight.
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    const WeightShape &w = weight;
    return weightName(w.format, w.zeroType, w.scaleType) + "_n" + std::to_string(w.n) + "k" + std::to_string(w.k) +
           (indices < 0 ? "" : "_m" + std::to_string(indices)) + (w.permuted ? "_permuted" : "") +
           (w.values == WeightValues::Random         ? ""
            : w.values == WeightValues::ExtremeCodes ? "_codes"
                                                     : "_scales");
  }
};

std::vector<RowCase> rowCases(bool embedding, uint64_t seed) {
  enum { Kind, N, K, Group, Scale, Permuted, Values, Par, Count };
  const std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                                   std::size(weightRows),
                                   shortColumnCounts.size(),
                                   groupSizes.size(),
                                   elementTypes.size(),
                                   2,
                                   3,
                                   parallelForCount,
                                   embedding ? static_cast<int>(std::size(embeddedCounts)) : 1};
  std::vector<RowCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed + embedding)) {
    RowCase c;
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight = {kind.grouped(groupSizes[row[Group]]),
                weightRows[row[N]],
                shortColumnCounts[row[K]],
                elementTypes[row[Scale]],
                kind.zeroType,
                row[Permuted] == 1,
                static_cast<WeightValues>(row[Values])};
    c.indices = embedding ? embeddedCounts[row[Count]] : -1;
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  for (const WeightKind &kind : weightKinds()) {
    const size_t index = cases.size();
    const LongRow &row = longRows[index % longRows.size()];
    RowCase c;
    c.weight = {kind.grouped(row.group), 2, row.k, elementTypes[index % elementTypes.size()], kind.zeroType};
    c.indices = embedding ? 3 : -1;
    c.seed = caseSeed(seed, index);
    cases.push_back(c);
  }
  return cases;
}

void runRows(const Subject &subject, const RowCase &c) {
  Random random(c.seed);
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k, rows = c.indices < 0 ? n : c.indices;
  GuardedBuffer y(rows * k * sizeOf(c.weight.scaleType)), indices(std::max<int64_t>(c.indices, 0) * 8);
  auto *index = reinterpret_cast<int64_t *>(indices.data());
  for (int64_t i = 0; i < c.indices; ++i)
    index[i] = random.below(n);

  const Status status =
      c.indices < 0
          ? subject.backend->dequantize(weight.canonical(), y.data(), parallelFor(c.parallel))
          : subject.backend->embedding(weight.canonical(), index, c.indices, y.data(), parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactBefore()) << "memory before y was written";

  double worst = 0;
  for (int64_t i = 0; i < rows * k; ++i) {
    const Expectation e = expectWeight(weight, c.indices < 0 ? i / k : index[i / k], i % k);
    const float got = loadElement(c.weight.scaleType, y.data(), i);
    double ratio = 0;
    ASSERT_TRUE(accepts(e, got, ratio)) << "y[" << i / k << ", " << i % k << "] = " << got << ", expected " << e.value
                                        << " +- " << e.tolerance;
    worst = std::max(worst, ratio);
  }
  noteRatio(subject.name + (c.indices < 0 ? " dequantize" : " embedding"), worst);
}

} // namespace

void bq::conformance::addRowTests(const Subject &subject, uint64_t seed) {
  for (bool embedding : {false, true}) {
    const std::vector<RowCase> cases = rowCases(embedding, seed);
    for (size_t index = 0; index < cases.size(); ++index)
      if (const RowCase &c = cases[index]; subject.runs(index, cases.size()))
        addTest(subject, embedding ? "Embedding" : "Dequantize", numbered(index) + "_" + c.name(),
                [=] { runRows(subject, c); });
  }
}

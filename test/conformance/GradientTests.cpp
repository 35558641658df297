// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Gradients of linear layers with respect to their input, through the weight that the layer reads.
#include "dialect/core/Half.h"
#include "test/conformance/Bounds.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Matrix.h"
#include "test/conformance/RowValues.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr Compute gradientComputes[] = {Compute::F32, Compute::BF16};

struct GradientCase {
  WeightShape weight;
  Compute compute = Compute::F32;
  int64_t m = 1;
  ElementType dataType = ElementType::F32;
  bool stridedX = false, stridedY = false;
  RowValues x = RowValues::Normal;
  uint64_t seed = 0;

  std::string name() const {
    const WeightShape &w = weight;
    std::string text = weightName(w.format, w.zeroType, w.scaleType) + "_" + std::string(str(compute)) + "_" +
                       std::string(str(dataType)) + "_m" + std::to_string(m) + "n" + std::to_string(w.n) + "k" +
                       std::to_string(w.k);
    text += stridedX ? "_stridedx" : "";
    text += stridedY ? "_stridedy" : "";
    text += w.permuted ? "_permuted" : "";
    return text + "_" + nameOf(x) + (w.values == WeightValues::Random ? "" : "_extreme");
  }
};

/// Every pair of levels, and every format with both computes and each of the four classes of M.
std::vector<GradientCase> gradientCases(uint64_t seed) {
  enum { Kind, Comp, RowsClass, Rows, N, K, Group, Data, Scale, StrideX, StrideY, Permuted, X, Values };
  const std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                                   std::size(gradientComputes),
                                   std::size(rowClasses),
                                   std::size(rowClasses[0]),
                                   rowCounts.size(),
                                   columnCounts.size(),
                                   groupSizes.size(),
                                   elementTypes.size(),
                                   elementTypes.size(),
                                   2,
                                   2,
                                   2,
                                   rowValuesCount,
                                   3};
  std::vector<GradientCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp, RowsClass}}, seed)) {
    GradientCase c;
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight = {kind.grouped(groupSizes[row[Group]]),
                rowCounts[row[N]],
                columnCounts[row[K]],
                elementTypes[row[Scale]],
                kind.zeroType,
                row[Permuted] == 1,
                static_cast<WeightValues>(row[Values])};
    c.compute = gradientComputes[row[Comp]];
    c.m = rowClasses[row[RowsClass]][row[Rows]];
    c.dataType = elementTypes[row[Data]];
    c.stridedX = row[StrideX];
    c.stridedY = row[StrideY];
    c.x = static_cast<RowValues>(row[X]);
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  return cases;
}

/// Sums that several blocks of threads have in parts.
std::vector<GradientCase> longCases(uint64_t seed) {
  const WeightKind kinds[] = {{{Format::Kind::UInt, 4, 128}, ZeroPointType::U8},
                              {{Format::Kind::Int, 3, 100}},
                              {{Format::Kind::UInt, 1, 0}, ZeroPointType::F32},
                              {{Format::Kind::FP4, 4, 32}},
                              {{Format::Kind::Sign, 1, 0}},
                              {{Format::Kind::Int, 8, 0}}};
  std::vector<GradientCase> cases;
  for (Compute compute : gradientComputes)
    for (size_t i = 0; i < std::size(kinds); ++i) {
      GradientCase c;
      c.weight = {kinds[i].format, 1100 + static_cast<int64_t>(i), 130, elementTypes[i % 3], kinds[i].zeroType};
      c.compute = compute;
      c.m = i % 2 ? 11 : 3;
      c.dataType = elementTypes[cases.size() % 3];
      c.seed = seed * 1000003 + cases.size();
      cases.push_back(c);
    }
  return cases;
}

void runGradient(const Subject &subject, const GradientCase &c) {
  Random random(c.seed);
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k;
  const std::vector<float> values = makeRows(c.x, c.dataType, c.m, n, random);
  Matrix x(c.dataType, c.m, n, c.stridedX ? n + 1 + random.below(20) : n);
  Matrix y(c.dataType, c.m, k, c.stridedY ? k + 1 + random.below(20) : k);
  for (int64_t i = 0; i < c.m; ++i)
    for (int64_t column = 0; column < n; ++column)
      x.set(i, column, values[i * n + column]);

  auto prepacked = subject.backend->prepack(weight.canonical(), serialFor);
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  LinearArgs args;
  args.isGradient = true;
  args.dataType = c.dataType;
  args.x = x.buffer.data();
  args.m = c.m;
  args.xStride = x.stride;
  args.compute = c.compute;
  args.y = y.buffer.data();
  args.yStride = y.stride;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(static_cast<int>(c.seed % 3)));
  if (subject.summation == Summation::Gpu && c.compute == Compute::F32 && !c.weight.format.isExactInBF16()) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::Unsupported) << status.error().message;
    return;
  }
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";

  LinearProblem problem;
  problem.weight = &weight;
  problem.m = c.m;
  problem.x = values.data();
  problem.dataType = c.dataType;
  problem.compute = c.compute;
  problem.summation = subject.summation;
  checkResults(subject, c.compute, expectGradient(problem), y, /*firstColumn=*/0, k);
}

} // namespace

void bq::conformance::addGradientTests(const Subject &subject, uint64_t seed) {
  if (subject.summation == Summation::Cpu)
    return;
  for (const auto &[part, cases] :
       {std::pair{"LinearGradient", gradientCases(seed)}, {"LinearGradientLong", longCases(seed)}})
    for (size_t index = 0; index < cases.size(); ++index)
      if (const GradientCase &c = cases[index]; subject.runs(index, cases.size()))
        addTest(subject, part, numbered(index) + "_" + c.name(), [=] { runGradient(subject, c); });
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
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

constexpr const char *weightValueNames[] = {"", "codes", "scales"};

struct LinearCase {
  WeightShape weight;
  Compute compute = Compute::F32;
  int64_t m = 1;
  ElementType dataType = ElementType::F32;
  bool hasBias = false, stridedX = false, stridedY = false;
  Activation activation = Activation::None;
  RowValues x = RowValues::Normal;
  int staticBits = 0;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    const WeightShape &w = weight;
    std::string text = weightName(w.format, w.zeroType, w.scaleType) + "_" + std::string(str(compute)) + "_" +
                       std::string(str(dataType)) + "_m" + std::to_string(m) + "n" + std::to_string(w.n) + "k" +
                       std::to_string(w.k);
    text += hasBias ? "_bias" : "";
    text += activation == Activation::None ? "" : "_" + std::string(str(activation));
    text += stridedX ? "_stridedx" : "";
    text += stridedY ? "_stridedy" : "";
    text += w.permuted ? "_permuted" : "";
    text += w.columnFactors ? "_factors" : "";
    text += staticBits ? "_a" + std::to_string(staticBits) : "";
    text += "_" + nameOf(x);
    text += w.values == WeightValues::Random ? "" : "_" + std::string(weightValueNames[static_cast<int>(w.values)]);
    return text;
  }
};

/// Every pair of levels, and every format with every compute that the backend has and each of the four kernels for M.
std::vector<LinearCase> linearCases(const Subject &subject, uint64_t seed) {
  enum {
    Kind,
    Comp,
    RowsClass,
    Rows,
    N,
    K,
    Group,
    Data,
    Scale,
    Bias,
    Act,
    StrideX,
    StrideY,
    Permuted,
    Factors,
    Static,
    X,
    Values,
    Par
  };
  const std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                                   static_cast<int>(subject.computes.size()),
                                   std::size(rowClasses),
                                   std::size(rowClasses[0]),
                                   rowCounts.size(),
                                   columnCounts.size(),
                                   groupSizes.size(),
                                   elementTypes.size(),
                                   elementTypes.size(),
                                   2,
                                   activations.size(),
                                   2,
                                   2,
                                   2,
                                   subject.hasFactors ? 2 : 1,
                                   activationBits.size(),
                                   rowValuesCount,
                                   std::size(weightValueNames),
                                   parallelForCount};
  std::vector<LinearCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp, RowsClass}}, seed)) {
    LinearCase c;
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight = {kind.grouped(groupSizes[row[Group]]),
                rowCounts[row[N]],
                columnCounts[row[K]],
                elementTypes[row[Scale]],
                kind.zeroType,
                row[Permuted] == 1,
                static_cast<WeightValues>(row[Values])};
    c.compute = subject.computes[row[Comp]];
    c.m = rowClasses[row[RowsClass]][row[Rows]];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.stridedX = row[StrideX];
    c.stridedY = row[StrideY];
    c.x = static_cast<RowValues>(row[X]);
    c.parallel = row[Par];
    // Activations with one scale need i8, and nothing for each column.
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    c.weight.columnFactors = row[Factors] && !c.staticBits && !c.weight.format.hasColumnScale();
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  return cases;
}

/// Rows of x that are too long to be held at once where that is how they are read, and sums in several parts: many rows
/// of the weight, which leave the sum whole on GPUs, and few.
std::vector<LinearCase> longCases(const Subject &subject, uint64_t seed) {
  const WeightKind kinds[] = {{{Format::Kind::UInt, 4, 128}, ZeroPointType::U8},
                              {{Format::Kind::Int, 3, 100}},
                              {{Format::Kind::UInt, 1, 0}, ZeroPointType::F32},
                              {{Format::Kind::NF4, 4, 64}},
                              {{Format::Kind::Sign, 1, 0}},
                              {{Format::Kind::Int, 8, 0}}};
  std::vector<LinearCase> cases;
  for (Compute compute : subject.computes)
    for (size_t i = 0; i < std::size(kinds); ++i) {
      const bool isTall = (i + cases.size() / std::size(kinds)) % 2;
      LinearCase c;
      c.weight = {kinds[i].format, isTall ? 390 : 20, 2100, elementTypes[i % 3], kinds[i].zeroType};
      c.compute = compute;
      c.m = isTall ? 8 : i < 3 ? 3 : 40;
      c.hasBias = isTall;
      c.seed = seed * 1000003 + cases.size();
      cases.push_back(c);
    }
  return cases;
}

void runLinear(const Subject &subject, const LinearCase &c) {
  Random random(c.seed);
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k;
  const std::vector<float> xValues = makeRows(c.x, c.dataType, c.m, k, random);
  Matrix x(c.dataType, c.m, k, c.stridedX ? k + 1 + random.below(20) : k);
  Matrix y(c.dataType, c.m, n, c.stridedY ? n + 1 + random.below(20) : n);
  for (int64_t i = 0; i < c.m; ++i)
    for (int64_t column = 0; column < k; ++column)
      x.set(i, column, xValues[i * k + column]);
  GuardedBuffer bias(c.hasBias ? n * 4 : 0);
  const float *biasValues = c.hasBias ? reinterpret_cast<const float *>(bias.data()) : nullptr;
  for (int64_t j = 0; c.hasBias && j < n; ++j)
    storeElement(ElementType::F32, bias.data(), j, random.unit());

  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  EXPECT_EQ((*prepacked)->n(), n);
  EXPECT_EQ((*prepacked)->k(), k);
  EXPECT_EQ((*prepacked)->format(), c.weight.format);

  LinearArgs args;
  args.dataType = c.dataType;
  args.x = x.buffer.data();
  args.m = c.m;
  args.xStride = x.stride;
  args.bias = biasValues;
  args.compute = c.compute;
  args.activation = c.activation;
  args.y = y.buffer.data();
  args.yStride = y.stride;
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 0;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";

  std::vector<float> codes;
  for (float value : xValues)
    codes.push_back(activationCode(value, c.staticBits, scale));
  LinearProblem problem;
  problem.weight = &weight;
  problem.m = c.m;
  problem.x = codes.data();
  problem.activationScale = scale;
  problem.bias = biasValues;
  problem.dataType = c.dataType;
  problem.compute = c.compute;
  problem.activation = c.activation;
  problem.summation = subject.summation;
  const std::vector<Expectation> expected = expectLinear(problem);
  checkResults(subject, c.compute, expected, y, /*firstColumn=*/0, n);
}

} // namespace

void bq::conformance::addLinearTests(const Subject &subject, uint64_t seed) {
  for (const auto &[part, cases] :
       {std::pair{"Linear", linearCases(subject, seed)}, {"LinearLong", longCases(subject, seed)}})
    for (size_t index = 0; index < cases.size(); ++index)
      if (const LinearCase &c = cases[index]; subject.runs(index, cases.size()))
        addTest(subject, part, numbered(index) + "_" + c.name(), [=] { runLinear(subject, c); });
}

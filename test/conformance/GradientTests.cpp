// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Gradients of linear layers with respect to their input, through the weight that the layer reads.
#include "test/conformance/Bounds.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/ProductCase.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::conformance;

namespace {

const std::vector<Compute> gradientComputes = {Compute::F32, Compute::BF16};

std::vector<ProductCase> gradientCases(uint64_t seed) {
  std::vector<ProductCase> cases;
  forEachProductCase(gradientComputes, {}, seed,
                     [&](const ProductCase &c, const std::vector<int> &) { cases.push_back(c); });
  return cases;
}

/// Sums that several blocks of threads have in parts.
std::vector<ProductCase> longCases(uint64_t seed) {
  const std::vector<WeightKind> &kinds = longKinds();
  std::vector<ProductCase> cases;
  for (Compute compute : gradientComputes)
    for (size_t i = 0; i < kinds.size(); ++i) {
      ProductCase c;
      c.weight = {kinds[i].format, 1100 + static_cast<int64_t>(i), 130, elementTypes[i % 3], kinds[i].zeroType};
      c.compute = compute;
      c.m = i % 2 ? 11 : 3;
      c.dataType = elementTypes[cases.size() % 3];
      c.seed = caseSeed(seed, cases.size());
      cases.push_back(c);
    }
  return cases;
}

void runGradient(const Subject &subject, const ProductCase &c) {
  Random random(c.seed);
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k;
  const ProductOperands operands(c, n, k, random);
  const Matrix &y = operands.y;

  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  LinearArgs args = argsOf(operands.x, y);
  args.isGradient = true;
  args.compute = c.compute;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  if (subject.summation == Summation::Gpu && c.compute == Compute::F32 && !c.weight.format.isExactInBF16()) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::Unsupported) << status.error().message;
    return;
  }
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";

  checkResults(subject, c.compute, expectGradient({weight, args, operands.values.data(), subject.summation}), y,
               /*firstColumn=*/0, k);
}

} // namespace

void bq::conformance::addGradientTests(const Subject &subject, uint64_t seed) {
  if (subject.summation == Summation::Cpu)
    return;
  for (const auto &[part, cases] :
       {std::pair{"LinearGradient", gradientCases(seed)}, {"LinearGradientLong", longCases(seed)}})
    for (size_t index = 0; index < cases.size(); ++index)
      if (const ProductCase &c = cases[index]; subject.runs(index, cases.size()))
        addTest(subject, part, numbered(index) + "_" + c.name(), [=] { runGradient(subject, c); });
}

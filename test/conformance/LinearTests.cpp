// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Bounds.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/ProductCase.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::conformance;

namespace {

struct LinearCase : ProductCase {
  bool hasBias = false;
  Activation activation = Activation::None;
  int staticBits = 0;

  std::string name() const {
    std::string text = ProductCase::name();
    text += hasBias ? "_bias" : "";
    text += activation == Activation::None ? "" : "_" + std::string(str(activation));
    text += weight.columnFactors ? "_factors" : "";
    text += staticBits ? "_a" + std::to_string(staticBits) : "";
    return text;
  }
};

std::vector<LinearCase> linearCases(const Subject &subject, uint64_t seed) {
  enum { Bias, Act, Factors, Static };
  const std::vector<int> own = {2, activations.size(), subject.hasFactors ? 2 : 1, activationBits.size()};
  std::vector<LinearCase> cases;
  forEachProductCase(subject.computes, own, seed, [&](const ProductCase &product, const std::vector<int> &row) {
    LinearCase c{product};
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    // Activations with one scale need i8, and nothing for each column.
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    c.weight.columnFactors = row[Factors] && !c.staticBits && !c.weight.format.hasColumnScale();
    cases.push_back(c);
  });
  return cases;
}

/// Rows of x that are too long to be held at once where that is how they are read, and sums in several parts: many rows
/// of the weight, which leave the sum whole on GPUs, and few.
std::vector<LinearCase> longCases(const Subject &subject, uint64_t seed) {
  const std::vector<WeightKind> &kinds = longKinds();
  std::vector<LinearCase> cases;
  for (Compute compute : subject.computes)
    for (size_t i = 0; i < kinds.size(); ++i) {
      const bool isTall = (i + cases.size() / kinds.size()) % 2;
      LinearCase c;
      c.weight = {kinds[i].format, isTall ? 390 : 20, 2100, elementTypes[i % 3], kinds[i].zeroType};
      c.compute = compute;
      c.m = isTall ? 8 : i < 3 ? 3 : 40;
      c.hasBias = isTall;
      c.seed = caseSeed(seed, cases.size());
      cases.push_back(c);
    }
  return cases;
}

void runLinear(const Subject &subject, const LinearCase &c) {
  Random random(c.seed);
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k;
  const ProductOperands operands(c, k, n, random);
  const Matrix &y = operands.y;
  const Bias bias(c.hasBias ? n : 0, random);

  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  EXPECT_EQ((*prepacked)->n(), n);
  EXPECT_EQ((*prepacked)->k(), k);
  EXPECT_EQ((*prepacked)->format(), c.weight.format);

  LinearArgs args = argsOf(operands.x, y);
  args.bias = bias.values();
  args.compute = c.compute;
  args.activation = c.activation;
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 0;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";

  std::vector<float> codes;
  for (float value : operands.values)
    codes.push_back(activationCode(value, c.staticBits, scale));
  checkResults(subject, c.compute, expectLinear({weight, args, codes.data(), subject.summation}), y, /*firstColumn=*/0,
               n);
}

} // namespace

void bq::conformance::addLinearTests(const Subject &subject, uint64_t seed) {
  for (const auto &[part, cases] :
       {std::pair{"Linear", linearCases(subject, seed)}, {"LinearLong", longCases(subject, seed)}})
    for (size_t index = 0; index < cases.size(); ++index)
      if (const LinearCase &c = cases[index]; subject.runs(index, cases.size()))
        addTest(subject, part, numbered(index) + "_" + c.name(), [=] { runLinear(subject, c); });
}

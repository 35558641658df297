// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conv2dCase.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr Pair kernels[] = {{1, 1}, {3, 3}, {2, 5}, {7, 1}, {1, 2}, {11, 3}};
constexpr Pair sizes[] = {{1, 1}, {5, 7}, {8, 8}, {13, 3}, {1, 17}};
constexpr Pair strides[] = {{1, 1}, {2, 2}, {3, 1}};
constexpr Pair paddings[] = {{0, 0}, {1, 1}, {2, 0}, {0, 6}};
constexpr Pair dilations[] = {{1, 1}, {2, 1}, {3, 3}};
/// Below, at and above the vectors that are copied; several steps of them.
constexpr int64_t channelCounts[] = {1, 3, 8, 16, 17, 32, 64, 200};
constexpr int64_t outputCounts[] = {1, 5, 16, 37};
constexpr int64_t groupCounts[] = {1, 2, 3};
/// Of the format, in channels of a pixel where that is a fraction: below, at and above a pixel.
constexpr int64_t formatGroups[] = {0, 7, 16, 32, 64, 100};

/// Every pair of levels, and every format with every compute that the backend has.
std::vector<Conv2dCase> conv2dCases(const Subject &subject, uint64_t seed) {
  enum {
    Kind,
    Comp,
    Size,
    Kernel,
    Stride,
    Padding,
    Dilation,
    Channels,
    Outputs,
    Groups,
    Batch,
    FormatGroup,
    Gradient,
    Data,
    Scale,
    Bias,
    Act,
    StrideX,
    Permuted,
    Factors,
    Static,
    NaN,
    Par
  };
  const std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                                   static_cast<int>(subject.computes.size()),
                                   std::size(sizes),
                                   std::size(kernels),
                                   std::size(strides),
                                   std::size(paddings),
                                   std::size(dilations),
                                   std::size(channelCounts),
                                   std::size(outputCounts),
                                   std::size(groupCounts),
                                   2,
                                   std::size(formatGroups),
                                   2,
                                   elementTypes.size(),
                                   elementTypes.size(),
                                   2,
                                   activations.size(),
                                   2,
                                   2,
                                   2,
                                   activationBits.size(),
                                   2,
                                   parallelForCount};
  std::vector<Conv2dCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp}}, seed)) {
    Conv2dCase c;
    Conv2dShape &shape = c.shape;
    shape.batch = row[Batch] ? 3 : 1;
    setGeometry(shape, sizes[row[Size]], kernels[row[Kernel]], strides[row[Stride]], paddings[row[Padding]],
                dilations[row[Dilation]]);
    shape.groups = groupCounts[row[Groups]];
    shape.channels = shape.groups * channelCounts[row[Channels]];
    shape.outChannels = shape.groups * outputCounts[row[Outputs]];
    padToKernel(shape);
    c.isGradient = row[Gradient];
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight.format = kind.grouped(formatGroups[row[FormatGroup]]);
    c.weight.zeroType = kind.zeroType;
    c.weight.n = c.isGradient ? shape.groupChannels() : shape.groupOutputs();
    c.weight.k = c.isGradient ? shape.gradientK() : shape.k();
    c.weight.scaleType = elementTypes[row[Scale]];
    c.weight.permuted = row[Permuted];
    c.compute = subject.computes[row[Comp]];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.stridedX = row[StrideX];
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    // Padding of binary convolutions may count as -1.
    c.padCode = c.staticBits && row[Bias] ? -1 : 0;
    c.weight.columnFactors = row[Factors] && subject.hasFactors && !c.staticBits && !c.weight.format.hasColumnScale();
    c.hasNaN = row[NaN];
    c.parallel = row[Par];
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  return cases;
}

} // namespace

void bq::conformance::addConv2dTests(const Subject &subject, uint64_t seed) {
  const std::vector<Conv2dCase> cases = conv2dCases(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const Conv2dCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "Conv2d", numbered(index) + "_" + c.name(), [=] { runConv2d(subject, c); });
}

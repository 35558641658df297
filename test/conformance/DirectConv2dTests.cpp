// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conv2dCase.h"

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr Pair kernels[] = {{3, 3}, {1, 1}, {5, 2}, {2, 5}, {1, 12}, {11, 3}};
/// Lines below, at and above a tile of pixels.
constexpr Pair sizes[] = {{7, 7}, {1, 1}, {5, 9}, {13, 3}, {3, 8}, {4, 31}};
constexpr Pair strides[] = {{1, 1}, {2, 2}, {3, 1}, {1, 2}};
constexpr Pair paddings[] = {{0, 0}, {1, 1}, {2, 0}, {0, 6}};
constexpr Pair dilations[] = {{1, 1}, {2, 1}, {1, 2}, {3, 3}};
/// Outputs and channels of a group.
constexpr Pair groupShapes[] = {{1, 1}, {2, 1}, {2, 2}, {4, 1}, {4, 2}, {4, 4}};
/// Below, at and above a vector, a piece of the channels, and a piece that takes what is left over.
constexpr int64_t groupCounts[] = {2, 3, 7, 16, 17, 31, 64, 65, 137};
/// Of the format, in columns.
constexpr int64_t formatGroups[] = {0, 3, 4, 16};

/// Every pair of levels, and every format with every compute that the backend has.
std::vector<Conv2dCase> directConv2dCases(const Subject &subject, uint64_t seed) {
  enum {
    Kind,
    Comp,
    Size,
    Kernel,
    Stride,
    Padding,
    Dilation,
    Shape,
    Groups,
    Batch,
    FormatGroup,
    Gradient,
    Data,
    Scale,
    Bias,
    Act,
    StrideX,
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
                                   std::size(groupShapes),
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
                                   activationBits.size(),
                                   2,
                                   parallelForCount};
  std::vector<Conv2dCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp}, {Size, Kernel}}, seed)) {
    Conv2dCase c;
    c.isDirect = true;
    Conv2dShape &shape = c.shape;
    shape.batch = row[Batch] ? 2 : 1;
    setGeometry(shape, sizes[row[Size]], kernels[row[Kernel]], strides[row[Stride]], paddings[row[Padding]],
                dilations[row[Dilation]]);
    // The gradient has a kernel where each group has one output and one channel; wide kernels have few channels.
    const bool isDepthwise = row[Gradient] || shape.kernel[1] * groupShapes[row[Shape]].x > 12;
    const int64_t outputs = isDepthwise ? 1 : groupShapes[row[Shape]].y;
    shape.groups = std::min(groupCounts[row[Groups]], 160 / outputs);
    shape.outChannels = shape.groups * outputs;
    shape.channels = shape.groups * (isDepthwise ? 1 : groupShapes[row[Shape]].x);
    padToKernel(shape);
    c.isGradient = row[Gradient];
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight.format = kind.grouped(formatGroups[row[FormatGroup]]);
    c.weight.zeroType = kind.zeroType;
    c.weight.n = shape.outChannels;
    c.weight.k = shape.k();
    c.weight.scaleType = elementTypes[row[Scale]];
    c.compute = subject.computes[row[Comp]];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.stridedX = row[StrideX];
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    c.padCode = c.staticBits && row[Bias] ? -1 : 0;
    c.weight.columnFactors = row[Factors] && !c.staticBits && !c.weight.format.hasColumnScale();
    c.hasNaN = row[NaN];
    c.parallel = row[Par];
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  return cases;
}

} // namespace

void bq::conformance::addDirectConv2dTests(const Subject &subject, uint64_t seed) {
  if (!subject.hasDirectConv2d)
    return;
  const std::vector<Conv2dCase> cases = directConv2dCases(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const Conv2dCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "DirectConv2d", numbered(index) + "_" + c.name(), [=] { runConv2d(subject, c); });
}

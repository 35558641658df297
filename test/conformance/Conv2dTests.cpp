// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conv2dCase.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::conformance;

namespace {

const GeometryLevels geometry = {{{1, 1}, {5, 7}, {8, 8}, {13, 3}, {1, 17}},
                                 {{1, 1}, {3, 3}, {2, 5}, {7, 1}, {1, 2}, {11, 3}},
                                 {{1, 1}, {2, 2}, {3, 1}},
                                 {{0, 0}, {1, 1}, {2, 0}, {0, 6}},
                                 {{1, 1}, {2, 1}, {3, 3}}};
/// Below, at and above the vectors that are copied; several steps of them.
constexpr int64_t channelCounts[] = {1, 3, 8, 16, 17, 32, 64, 200};
constexpr int64_t outputCounts[] = {1, 5, 16, 37};
constexpr int64_t groupCounts[] = {1, 2, 3};
/// Of the format, in channels of a pixel where that is a fraction: below, at and above a pixel.
const std::vector<int64_t> formatGroups = {0, 7, 16, 32, 64, 100};

std::vector<Conv2dCase> conv2dCases(const Subject &subject, uint64_t seed) {
  enum { Channels, Outputs, Groups, Batch, Permuted };
  const std::vector<int> own = {std::size(channelCounts), std::size(outputCounts), std::size(groupCounts), 2, 2};
  std::vector<Conv2dCase> cases;
  forEachConv2dCase(subject, geometry, formatGroups, own, seed, [&](Conv2dCase &c, const std::vector<int> &row) {
    Conv2dShape &shape = c.shape;
    shape.batch = row[Batch] ? 3 : 1;
    shape.groups = groupCounts[row[Groups]];
    shape.channels = shape.groups * channelCounts[row[Channels]];
    shape.outChannels = shape.groups * outputCounts[row[Outputs]];
    padToKernel(shape);
    c.weight.n = c.isGradient ? shape.groupChannels() : shape.groupOutputs();
    c.weight.k = c.isGradient ? shape.gradientK() : shape.k();
    c.weight.permuted = row[Permuted];
    cases.push_back(c);
  });
  return cases;
}

} // namespace

void bq::conformance::addConv2dTests(const Subject &subject, uint64_t seed) {
  const std::vector<Conv2dCase> cases = conv2dCases(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const Conv2dCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "Conv2d", numbered(index) + "_" + c.name(), [=] { runConv2d(subject, c); });
}

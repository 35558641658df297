// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conv2dCase.h"

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

namespace {

/// Lines below, at and above a tile of pixels.
const GeometryLevels geometry = {{{7, 7}, {1, 1}, {5, 9}, {13, 3}, {3, 8}, {4, 31}},
                                 {{3, 3}, {1, 1}, {5, 2}, {2, 5}, {1, 12}, {11, 3}},
                                 {{1, 1}, {2, 2}, {3, 1}, {1, 2}},
                                 {{0, 0}, {1, 1}, {2, 0}, {0, 6}},
                                 {{1, 1}, {2, 1}, {1, 2}, {3, 3}}};
struct GroupShape {
  int64_t outputs, channels;
};
constexpr GroupShape groupShapes[] = {{1, 1}, {2, 1}, {2, 2}, {4, 1}, {4, 2}, {4, 4}};
/// Below, at and above a vector, a piece of the channels, and a piece that takes what is left over.
constexpr int64_t groupCounts[] = {2, 3, 7, 16, 17, 31, 64, 65, 137};
/// Of the format, in columns.
const std::vector<int64_t> formatGroups = {0, 3, 4, 16};

std::vector<Conv2dCase> directConv2dCases(const Subject &subject, uint64_t seed) {
  enum { Shape, Groups, Batch };
  const std::vector<int> own = {std::size(groupShapes), std::size(groupCounts), 2};
  std::vector<Conv2dCase> cases;
  forEachConv2dCase(subject, geometry, formatGroups, own, seed, [&](Conv2dCase &c, const std::vector<int> &row) {
    c.isDirect = true;
    Conv2dShape &shape = c.shape;
    shape.batch = row[Batch] ? 2 : 1;
    // The gradient has a kernel where each group has one output and one channel; wide kernels have few channels.
    const GroupShape &group = groupShapes[row[Shape]];
    const bool isDepthwise = c.isGradient || shape.kernel[1] * group.channels > 12;
    const int64_t outputs = isDepthwise ? 1 : group.outputs;
    shape.groups = std::min(groupCounts[row[Groups]], 160 / outputs);
    shape.outChannels = shape.groups * outputs;
    shape.channels = shape.groups * (isDepthwise ? 1 : group.channels);
    padToKernel(shape);
    c.weight.n = shape.outChannels;
    c.weight.k = shape.k();
    cases.push_back(c);
  });
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

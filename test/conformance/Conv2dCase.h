// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One case of a convolution, and which pixels its patches are made of.
#ifndef BQ_TEST_CONFORMANCE_CONV2DCASE_H
#define BQ_TEST_CONFORMANCE_CONV2DCASE_H

#include "runtime/Conv2dShape.h"
#include "test/conformance/Matrix.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace bq::conformance {

/// A convolution or its gradient, of groups that have the same kernel.
struct Conv2dCase {
  Conv2dShape shape;
  bool isGradient = false; ///< With respect to the input.
  WeightShape weight;      ///< Of a product: of a group, or of all; n and k follow from the shape.
  bool isDirect = false;   ///< One product for all groups (abi::isDirectConv2d).
  Compute compute = Compute::F32;
  ElementType dataType = ElementType::F32;
  bool hasBias = false, stridedX = false;
  int staticBits = 0, padCode = 0;
  Activation activation = Activation::None;
  bool hasNaN = false;
  int parallel = 0;
  uint64_t seed = 0;

  int64_t inputChannels() const { return isGradient ? shape.groupOutputs() : shape.groupChannels(); }
  bq::abi::Conv2dGeometry geometry() const;

  std::string name() const;
};

/// Patches by the definition of the convolution: each pair of an output pixel and a tap is one pair of pixels, of which
/// the gradient takes the one for the other. Entries are pixels of the images, or -1.
std::vector<int64_t> patchPixels(const Conv2dCase &c);

/// Levels of a convolution's geometry, of lines and columns: five factors of coverPairs().
struct GeometryLevels {
  using Pair = std::array<int64_t, 2>;
  std::vector<Pair> sizes, kernels, strides, paddings, dilations;

  /// How many each has.
  std::vector<int> counts() const;
  /// Gives `shape` the level of each.
  void apply(const int *levels, Conv2dShape &shape) const;
};

/// body(case, own) for cases in which every pair of levels occurs, without batch, channels and groups, and so without n
/// and k of the weight. `own`: how many levels each factor has that only this part has, and then the level of each.
void forEachConv2dCase(const Subject &subject, const GeometryLevels &geometry, const std::vector<int64_t> &formatGroups,
                       const std::vector<int> &own, uint64_t seed,
                       const std::function<void(Conv2dCase &c, const std::vector<int> &own)> &body);

/// Enlarges the padding where the kernel is larger than the image.
void padToKernel(Conv2dShape &shape);

/// Runs it on random images.
void runConv2d(const Subject &subject, const Conv2dCase &c);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_CONV2DCASE_H

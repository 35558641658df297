// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Convolutions as callers describe them, and the geometry that kernels take.
#ifndef BQ_RUNTIME_CONV2DSHAPE_H
#define BQ_RUNTIME_CONV2DSHAPE_H

#include "dialect/core/DirectConv2d.h"
#include "dialect/core/Status.h"

#include <array>

namespace bq {

/// A two-dimensional convolution of x [batch, channels, height, width] with a weight
/// [outChannels, channels / groups, kernel[0], kernel[1]] to y [batch, outChannels, outHeight(), outWidth()]. Images
/// are in memory with channels last and nothing between pixels, lines and images.
///
/// Each group is a product of its own: forward, a weight [groupOutputs(), k()] on patches of x, whose columns are in
/// the order k = (r * kernel[1] + s) * groupChannels() + i. Group g reads x from channel g * groupChannels() on and
/// writes y from channel g * groupOutputs() on, with rows outChannels elements apart. For the gradient with respect to
/// x it is a weight [groupChannels(), gradientK()], k = (r * kernel[1] + s) * groupOutputs() + o, on patches of dy.
struct Conv2dShape {
  int64_t batch = 1, channels = 1, height = 1, width = 1, outChannels = 1;
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, padding{0, 0}, dilation{1, 1};
  int64_t groups = 1;

  /// Whether the fields fit each other; errors name field, value and rule. All below need it.
  Status verify() const;

  int64_t outHeight() const { return outSize(0, height); }
  int64_t outWidth() const { return outSize(1, width); }
  /// Lines and pixels of x, with padding, that no patch reaches: what a transposed convolution of y has to add.
  std::array<int64_t, 2> rest() const {
    auto of = [this](int axis, int64_t size) { return size - reach(axis, outSize(axis, size)); };
    return {of(0, height), of(1, width)};
  }
  int64_t groupChannels() const { return channels / groups; }
  int64_t groupOutputs() const { return outChannels / groups; }
  int64_t k() const { return kernel[0] * kernel[1] * groupChannels(); }
  int64_t gradientK() const { return kernel[0] * kernel[1] * groupOutputs(); }

  /// Whether the CPU's kernels take all groups together, of any format but mixed.
  bool isDirect() const { return abi::isDirectConv2d(groups, groupOutputs(), groupChannels(), kernel[1]); }
  /// Whether groups have one output and one channel: the weight of the gradient then is that of the convolution.
  bool isDepthwise() const { return groupOutputs() == 1 && groupChannels() == 1; }

  /// Rows are output pixels, and their patches are in x.
  abi::Conv2dGeometry forward() const;
  /// Rows are pixels of x, and their patches are in dy.
  abi::Conv2dGeometry inputGradient() const;

private:
  /// Lines or pixels that so many patches reach over, without padding.
  int64_t reach(int axis, int64_t patches) const {
    return (patches - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
  }
  int64_t outSize(int axis, int64_t size) const {
    const int64_t steps = size + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1;
    return steps < 0 ? 0 : steps / stride[axis] + 1;
  }
};

/// Whether kernels can take `geometry` for rows of k elements, and its padding for activations of so many bits (0 where
/// they are not quantized with one scale); errors name field, value and rule.
Status verifyGeometry(const abi::Conv2dGeometry &geometry, int64_t k, int activationBits);

/// Whether the patches are the pixels themselves, one after the other, columnStride elements apart: rows of a linear
/// layer.
bool isPointwise(const abi::Conv2dGeometry &geometry);

} // namespace bq

#endif // BQ_RUNTIME_CONV2DSHAPE_H

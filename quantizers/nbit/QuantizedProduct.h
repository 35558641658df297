// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The training path of n-bit layers: a product or a convolution of quantized activations with a quantized weight, and
/// its gradients by the straight-through estimator.
#ifndef BQ_QUANTIZERS_NBIT_QUANTIZEDPRODUCT_H
#define BQ_QUANTIZERS_NBIT_QUANTIZEDPRODUCT_H

#include "quantizers/nbit/IntegerRule.h"

#include <ATen/ATen.h>

#include <array>
#include <optional>

namespace bq::nn {

/// Where a convolution takes its patches; each pair is of lines and columns.
struct ConvShape {
  std::array<int64_t, 2> stride = {1, 1}, padding = {0, 0}, dilation = {1, 1};
  int64_t groups = 1;
};

struct ProductRule {
  IntegerRule activations, weights;
  std::optional<ConvShape> conv; ///< None: a product x W^T.
  /// Of the layer's gradients in bitorch-engine 0.2.6. 8 bits: that of x has the factor scaleA. The gradient of scaleA
  /// is made from the masked gradient of x, so that clipped inputs do not count. One bit: signs of zero are 0 in
  /// gradients, padding is 0 there, and the gradient of the weight is rounded to integers up to 127.
  bool upstreamCompatible = false;
};

/// y = (q(x) * q(W)) scaleW scaleA, with q(x) the integers of x and q(W) those of the weight; their sums are exact as
/// long as they are below 2^24. Padding of a convolution counts as the integer 0, with one bit as -1.
///
/// `x` is [..., K] or [B, C, H, W]. `weight` is a floating tensor, rounded with `scaleW` (0-d), or the data of a
/// QuantizedParameter, which brings its own scales; `scaleW` is used where it has none, and may be undefined else.
/// `scaleA` is 0-d; below activations.eps it counts as that. Gradients: of x, plain straight-through inside the range;
/// of scaleA, scaleGradient() divided by sqrt(n greatest()), n the elements of x, with padding of one bit; of the
/// weight, that of the sum with respect to scaleW q(W), for a parameter into its slot. Gradients of second order do not
/// exist.
at::Tensor quantizedProduct(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &scaleW,
                            const at::Tensor &scaleA, const ProductRule &rule);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_QUANTIZEDPRODUCT_H

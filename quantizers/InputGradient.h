// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products with a transposed weight: gradients with respect to the input of linear layers and convolutions, on the
/// CPU.
#ifndef BQ_QUANTIZERS_INPUTGRADIENT_H
#define BQ_QUANTIZERS_INPUTGRADIENT_H

#include "quantizers/Export.h"
#include "quantizers/WeightForms.h"
#include "runtime/Conv2dShape.h"

namespace bq {

/// How the sums of a gradient are taken for a layer that computes in `forward`: i8, which would lose small gradients
/// beside large ones, is i16.
Compute gradientCompute(Compute forward);

/// dx [M, K] = dy [M, N] W, in the type of dy, which has any strides. The error of the sum is that of `compute`,
/// relative to the greatest |dy * scale| of a row times the sum of the codes' magnitudes.
at::Tensor linearInputGradient(const char *op, const at::Tensor &gradient, const TransposedWeight &weight,
                               Compute compute);

/// dx [B, H, W, C] from dy [B, OH, OW, O], contiguous, in its type.
at::Tensor conv2dInputGradient(const char *op, const at::Tensor &gradient, const Conv2dShape &shape,
                               const TransposedWeight &weight, Compute compute);

/// The same for a convolution with one output and one channel in each group, from its weight as it is, of the CPU; to
/// `dx`, which is contiguous.
void depthwiseInputGradient(const char *op, const at::Tensor &gradient, const Conv2dShape &shape,
                            const GroupedWeight &weight, Compute compute, const at::Tensor &dx);

/// The gradient of a linear layer with respect to its weight: dW [N, K] from dy [..., N] and x [..., K].
BQ_TORCH_API at::Tensor linearWeightGradient(const at::Tensor &gradient, const at::Tensor &x);
/// The gradient of a convolution with respect to its weight of `weightShape` [O, I / groups, kh, kw], from
/// dy [B, O, OH, OW] and x [B, I, H, W].
BQ_TORCH_API at::Tensor conv2dWeightGradient(const at::Tensor &gradient, const at::Tensor &x,
                                             at::IntArrayRef weightShape, at::IntArrayRef stride,
                                             at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups);

} // namespace bq

#endif // BQ_QUANTIZERS_INPUTGRADIENT_H

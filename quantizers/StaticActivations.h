// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Layers on packed weights whose activations are quantized with one scale: the evaluation of networks that were
/// trained with quantized activations.
#ifndef BQ_QUANTIZERS_STATICACTIVATIONS_H
#define BQ_QUANTIZERS_STATICACTIVATIONS_H

#include "quantizers/Conv2dSteps.h"
#include "quantizers/PackedWeight.h"

namespace bq {

/// How activations are quantized: q = clamp(rint(x / scale), -2^(bits-1), 2^(bits-1) - 1), or for one bit q = 1 where
/// x >= 0, else -1; the codes that fakeQuantize() rounds to.
struct StaticActivations {
  at::Tensor scale;    ///< One floating point number, on x's device.
  int64_t bits = 8;    ///< 1 to 8
  int64_t padCode = 0; ///< What padding counts as: 0, or -1 as binary convolutions have it.
};

/// activation(scale * q(x) W^T + bias) in the type of x; q W^T is exact inside a group of codes. On a GPU q is made by
/// LibTorch and q W^T is summed in f32. No gradient is recorded. Throws where an argument does not fit, and on the CPU
/// for sign, whose columns have scales.
BQ_TORCH_API at::Tensor linear(const PackedWeight &weight, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                               const StaticActivations &activations, Activation activation = Activation::None);
/// The same for a convolution, in the memory format of x [B, C, H, W].
BQ_TORCH_API at::Tensor conv2d(const PackedWeight &weight, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                               const Conv2dSteps &steps, const StaticActivations &activations,
                               Activation activation = Activation::None);

} // namespace bq

#endif // BQ_QUANTIZERS_STATICACTIVATIONS_H

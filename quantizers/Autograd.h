// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The autograd kernels of linear layers and convolutions: gradients with respect to x and bias, through the weight as
/// it is decoded; the rounding of activations by `compute` is passed over. Throws where another input requires a
/// gradient, and in forward mode. Those of the gradients themselves make them differentiable once more.
#ifndef BQ_QUANTIZERS_AUTOGRAD_H
#define BQ_QUANTIZERS_AUTOGRAD_H

#include "quantizers/Dispatch.h"

namespace bq {

at::Tensor linearAutograd(const at::Tensor &x, const at::Tensor &codes, const at::Tensor &scales,
                          const dispatch::OptionalTensor &zeros, const dispatch::OptionalTensor &bias,
                          c10::string_view format, c10::string_view compute, c10::string_view activation,
                          const dispatch::OptionalTensor &groupIndex);
at::Tensor linearPackedAutograd(const at::Tensor &x, const dispatch::PackedPtr &weight,
                                const dispatch::OptionalTensor &bias, c10::string_view compute,
                                c10::string_view activation);
at::Tensor conv2dAutograd(const at::Tensor &x, const at::Tensor &codes, const at::Tensor &scales,
                          const dispatch::OptionalTensor &zeros, const dispatch::OptionalTensor &bias,
                          c10::string_view format, at::IntArrayRef weightShape, at::IntArrayRef stride,
                          at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups, c10::string_view compute,
                          c10::string_view activation);
at::Tensor conv2dPackedAutograd(const at::Tensor &x, const dispatch::PackedPtr &weight,
                                const dispatch::OptionalTensor &bias, at::IntArrayRef stride, at::IntArrayRef padding,
                                at::IntArrayRef dilation, int64_t groups, c10::string_view compute,
                                c10::string_view activation);

at::Tensor linearInputGradientAutograd(const at::Tensor &gradient, const at::Tensor &codes, const at::Tensor &scales,
                                       const dispatch::OptionalTensor &zeros, c10::string_view format, int64_t k,
                                       c10::string_view compute, const dispatch::OptionalTensor &groupIndex);
at::Tensor linearPackedInputGradientAutograd(const at::Tensor &gradient, const dispatch::PackedPtr &weight,
                                             c10::string_view compute);
at::Tensor conv2dInputGradientAutograd(const at::Tensor &gradient, const at::Tensor &codes, const at::Tensor &scales,
                                       const dispatch::OptionalTensor &zeros, c10::string_view format,
                                       at::IntArrayRef weightShape, at::SymIntArrayRef inputShape,
                                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                                       int64_t groups, c10::string_view compute);
at::Tensor conv2dPackedInputGradientAutograd(const at::Tensor &gradient, const dispatch::PackedPtr &weight,
                                             at::SymIntArrayRef inputShape, at::IntArrayRef stride,
                                             at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                                             c10::string_view compute);

} // namespace bq

#endif // BQ_QUANTIZERS_AUTOGRAD_H

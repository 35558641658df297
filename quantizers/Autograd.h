// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The autograd kernels of bq::linear and bq::linear_packed: gradients with respect to x and bias, through the weight
/// as it is decoded; the rounding of activations by `compute` is passed over. Throws where another
/// input requires a gradient, and in forward mode.
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

} // namespace bq

#endif // BQ_QUANTIZERS_AUTOGRAD_H

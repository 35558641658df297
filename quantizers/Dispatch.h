// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Calls of bq's operators through LibTorch's dispatcher, so that autograd, tracing and fake tensors see them.
#ifndef BQ_QUANTIZERS_DISPATCH_H
#define BQ_QUANTIZERS_DISPATCH_H

#include "quantizers/Conv2dSteps.h"
#include "quantizers/PackedWeight.h"

#include <ATen/ATen.h>

#include <optional>

namespace bq::dispatch {

using OptionalTensor = std::optional<at::Tensor>;
using PackedPtr = c10::intrusive_ptr<PackedWeight>;

at::Tensor linear(const at::Tensor &x, const at::Tensor &codes, const at::Tensor &scales, const OptionalTensor &zeros,
                  const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                  c10::string_view activation, const OptionalTensor &groupIndex);
at::Tensor embedding(const at::Tensor &indices, const at::Tensor &codes, const at::Tensor &scales,
                     const OptionalTensor &zeros, c10::string_view format, int64_t dim);
at::Tensor linearPacked(const at::Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                        c10::string_view compute, c10::string_view activation);
at::Tensor embeddingPacked(const at::Tensor &indices, const PackedPtr &weight);

at::Tensor conv2d(const at::Tensor &x, const at::Tensor &codes, const at::Tensor &scales, const OptionalTensor &zeros,
                  const OptionalTensor &bias, c10::string_view format, at::IntArrayRef weightShape,
                  const Conv2dSteps &steps, c10::string_view compute, c10::string_view activation);
at::Tensor conv2dPacked(const at::Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                        const Conv2dSteps &steps, c10::string_view compute, c10::string_view activation);

/// The gradients of these with respect to x, before an activation; differentiable.
at::Tensor linearInputGradient(const at::Tensor &gradient, const at::Tensor &codes, const at::Tensor &scales,
                               const OptionalTensor &zeros, c10::string_view format, int64_t k,
                               c10::string_view compute, const OptionalTensor &groupIndex);
at::Tensor linearPackedInputGradient(const at::Tensor &gradient, const PackedPtr &weight, c10::string_view compute);
at::Tensor conv2dInputGradient(const at::Tensor &gradient, const at::Tensor &codes, const at::Tensor &scales,
                               const OptionalTensor &zeros, c10::string_view format, at::IntArrayRef weightShape,
                               at::SymIntArrayRef inputShape, const Conv2dSteps &steps, c10::string_view compute);
at::Tensor conv2dPackedInputGradient(const at::Tensor &gradient, const PackedPtr &weight, at::SymIntArrayRef inputShape,
                                     const Conv2dSteps &steps, c10::string_view compute);

/// bq::dequantize, also for a weight whose columns have a group index: in the type of the scales, or in `type`,
/// computed in float then.
at::Tensor dequantize(const at::Tensor &codes, const at::Tensor &scales, const OptionalTensor &zeros,
                      const Format &format, at::IntArrayRef shape, const OptionalTensor &groupIndex,
                      std::optional<at::ScalarType> type);

} // namespace bq::dispatch

#endif // BQ_QUANTIZERS_DISPATCH_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Dispatch.h"

#include "quantizers/Quantize.h"

#include <ATen/core/dispatch/Dispatcher.h>

using namespace bq;

using at::Tensor;

template <typename Function>
static c10::TypedOperatorHandle<Function> find(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

Tensor dispatch::linear(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                        const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                        c10::string_view activation, const OptionalTensor &groupIndex) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, const OptionalTensor &,
                  c10::string_view, c10::string_view, c10::string_view, const OptionalTensor &)>("bq::linear");
  return op.call(x, codes, scales, zeros, bias, format, compute, activation, groupIndex);
}

Tensor dispatch::embedding(const Tensor &indices, const Tensor &codes, const Tensor &scales,
                           const OptionalTensor &zeros, c10::string_view format, int64_t dim) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view, int64_t)>(
          "bq::embedding");
  return op.call(indices, codes, scales, zeros, format, dim);
}

Tensor dispatch::linearPacked(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                              c10::string_view compute, c10::string_view activation) {
  static const auto op =
      find<Tensor(const Tensor &, const PackedPtr &, const OptionalTensor &, c10::string_view, c10::string_view)>(
          "bq::linear_packed");
  return op.call(x, weight, bias, compute, activation);
}

Tensor dispatch::embeddingPacked(const Tensor &indices, const PackedPtr &weight) {
  static const auto op = find<Tensor(const Tensor &, const PackedPtr &)>("bq::embedding_packed");
  return op.call(indices, weight);
}

Tensor dispatch::conv2d(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                        const OptionalTensor &bias, c10::string_view format, at::IntArrayRef weightShape,
                        const Conv2dSteps &steps, c10::string_view compute, c10::string_view activation) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, const OptionalTensor &,
                  c10::string_view, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                  c10::string_view, c10::string_view)>("bq::conv2d");
  return op.call(x, codes, scales, zeros, bias, format, weightShape, steps.stride, steps.padding, steps.dilation,
                 steps.groups, compute, activation);
}

Tensor dispatch::conv2dPacked(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                              const Conv2dSteps &steps, c10::string_view compute, c10::string_view activation) {
  static const auto op =
      find<Tensor(const Tensor &, const PackedPtr &, const OptionalTensor &, at::IntArrayRef, at::IntArrayRef,
                  at::IntArrayRef, int64_t, c10::string_view, c10::string_view)>("bq::conv2d_packed");
  return op.call(x, weight, bias, steps.stride, steps.padding, steps.dilation, steps.groups, compute, activation);
}

Tensor dispatch::linearInputGradient(const Tensor &gradient, const Tensor &codes, const Tensor &scales,
                                     const OptionalTensor &zeros, c10::string_view format, int64_t k,
                                     c10::string_view compute, const OptionalTensor &groupIndex) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view, int64_t,
                  c10::string_view, const OptionalTensor &)>("bq::linear_input_gradient");
  return op.call(gradient, codes, scales, zeros, format, k, compute, groupIndex);
}

Tensor dispatch::linearPackedInputGradient(const Tensor &gradient, const PackedPtr &weight, c10::string_view compute) {
  static const auto op =
      find<Tensor(const Tensor &, const PackedPtr &, c10::string_view)>("bq::linear_packed_input_gradient");
  return op.call(gradient, weight, compute);
}

Tensor dispatch::conv2dInputGradient(const Tensor &gradient, const Tensor &codes, const Tensor &scales,
                                     const OptionalTensor &zeros, c10::string_view format, at::IntArrayRef weightShape,
                                     at::SymIntArrayRef inputShape, const Conv2dSteps &steps,
                                     c10::string_view compute) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view,
                  at::IntArrayRef, at::SymIntArrayRef, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                  c10::string_view)>("bq::conv2d_input_gradient");
  return op.call(gradient, codes, scales, zeros, format, weightShape, inputShape, steps.stride, steps.padding,
                 steps.dilation, steps.groups, compute);
}

Tensor dispatch::conv2dPackedInputGradient(const Tensor &gradient, const PackedPtr &weight,
                                           at::SymIntArrayRef inputShape, const Conv2dSteps &steps,
                                           c10::string_view compute) {
  static const auto op =
      find<Tensor(const Tensor &, const PackedPtr &, at::SymIntArrayRef, at::IntArrayRef, at::IntArrayRef,
                  at::IntArrayRef, int64_t, c10::string_view)>("bq::conv2d_packed_input_gradient");
  return op.call(gradient, weight, inputShape, steps.stride, steps.padding, steps.dilation, steps.groups, compute);
}

Tensor dispatch::dequantize(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                            const Format &format, at::IntArrayRef shape, const OptionalTensor &groupIndex,
                            std::optional<at::ScalarType> type) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view, at::IntArrayRef)>(
          "bq::dequantize");
  return dequantizeAs({codes, scales, zeros, groupIndex}, format, shape, type,
                      [](const WeightTensors &weight, const Format &plain, at::IntArrayRef sizes) {
                        return op.call(weight.codes, weight.scales, weight.zeros, plain.str(), sizes);
                      });
}

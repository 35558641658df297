// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Autograd.h"
#include "quantizers/Conv2d.h"
#include "quantizers/PackedWeightClass.h"
#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/OnGpu.h"

#include <torch/library.h>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using dispatch::PackedPtr;

namespace {

constexpr char plainName[] = "bq::conv2d";
constexpr char packedName[] = "bq::conv2d_packed";
constexpr char plainGradientName[] = "bq::conv2d_input_gradient";
constexpr char packedGradientName[] = "bq::conv2d_packed_input_gradient";

/// A weight as tensors, checked against the convolution.
struct PlainWeight {
  WeightTensors tensors;
  Format format;

  PlainWeight(const Conv2dCall &call, const Tensor &x, const Tensor &codes, const Tensor &scales,
              const OptionalTensor &zeros, c10::string_view text)
      : tensors{codes, scales, zeros, std::nullopt}, format(take(call.op, Format::parse(text))) {
    checkDevice(call.op, "codes", codes, x.device());
    const int64_t n = checkWeight(call.op, tensors, format, call.k());
    TORCH_CHECK(n == call.n(), call.op, ": 'codes' ", codes.sym_sizes(), " do not fit 'weight_shape' ",
                shapeText(call.weightShape));
  }

  Conv2dWeight forms(const Conv2dCall &call) const {
    return {[&] { return groupedRemembered(call.op, tensors, format, call.k(), call.layout()); },
            [&] { return transposedRemembered(call.op, tensors, format, call.k(), call.layout()); },
            [&](at::ScalarType type) {
              return dispatch::dequantize(tensors.codes, tensors.scales, tensors.zeros, format, call.weightShape,
                                          std::nullopt, type);
            },
            format};
  }
};

Conv2dWeight formsOf(const PackedPtr &weight, const Conv2dCall &call, at::Device device) {
  return {[&, device] { return weight->grouped(call.layout(), device); },
          [&] { return weight->transposed(call.layout()); },
          [&weight, device](at::ScalarType type) { return weight->dequantize(type, device); }, weight->format()};
}

Conv2dCall callOf(const char *op, const PackedPtr &weight, const Conv2dSteps &steps) {
  TORCH_CHECK(weight->shape().size() == 4, op, ": the weight ", shapeText(weight->shape()), " is a linear layer's");
  return Conv2dCall(op, weight->shape(), steps);
}

Tensor plainHere(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                 const OptionalTensor &bias, c10::string_view format, at::IntArrayRef weightShape,
                 at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                 c10::string_view compute, c10::string_view activation) {
  const Conv2dCall call(plainName, weightShape, {stride, padding, dilation, groups});
  const PlainWeight weight(call, x, codes, scales, zeros, format);
  return runConv2d(call, x, bias, weight.forms(call), LinearChoice::parse(plainName, compute, activation));
}

Tensor plainMeta(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                 const OptionalTensor &bias, c10::string_view format, at::IntArrayRef weightShape,
                 at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                 c10::string_view compute, c10::string_view activation) {
  const Conv2dCall call(plainName, weightShape, {stride, padding, dilation, groups});
  PlainWeight(call, x, codes, scales, zeros, format);
  LinearChoice::parse(plainName, compute, activation);
  return emptyConv2dResult(call, x, bias);
}

Tensor packedHere(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias, at::IntArrayRef stride,
                  at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups, c10::string_view compute,
                  c10::string_view activation) {
  const Conv2dCall call = callOf(packedName, weight, {stride, padding, dilation, groups});
  return runConv2d(call, x, bias, formsOf(weight, call, x.device()),
                   LinearChoice::parse(packedName, compute, activation));
}

Tensor packedMeta(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias, at::IntArrayRef stride,
                  at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups, c10::string_view compute,
                  c10::string_view activation) {
  LinearChoice::parse(packedName, compute, activation);
  return emptyConv2dResult(callOf(packedName, weight, {stride, padding, dilation, groups}), x, bias);
}

Tensor plainGradientHere(const Tensor &gradient, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                         c10::string_view format, at::IntArrayRef weightShape, at::IntArrayRef inputShape,
                         at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                         c10::string_view compute) {
  const Conv2dCall call(plainGradientName, weightShape, {stride, padding, dilation, groups});
  const PlainWeight weight(call, gradient, codes, scales, zeros, format);
  return runConv2dInputGradient(call, gradient, inputShape, weight.forms(call),
                                take(plainGradientName, parseCompute(compute)));
}

Tensor plainGradientMeta(const Tensor &gradient, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                         c10::string_view format, at::IntArrayRef weightShape, at::SymIntArrayRef inputShape,
                         at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                         c10::string_view) {
  const Conv2dCall call(plainGradientName, weightShape, {stride, padding, dilation, groups});
  PlainWeight(call, gradient, codes, scales, zeros, format);
  return emptyConv2dInputGradient(call, gradient, inputShape);
}

Tensor packedGradientHere(const Tensor &gradient, const PackedPtr &weight, at::IntArrayRef inputShape,
                          at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                          c10::string_view compute) {
  const Conv2dCall call = callOf(packedGradientName, weight, {stride, padding, dilation, groups});
  return runConv2dInputGradient(call, gradient, inputShape, formsOf(weight, call, gradient.device()),
                                take(packedGradientName, parseCompute(compute)));
}

Tensor packedGradientMeta(const Tensor &gradient, const PackedPtr &weight, at::SymIntArrayRef inputShape,
                          at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                          c10::string_view) {
  return emptyConv2dInputGradient(callOf(packedGradientName, weight, {stride, padding, dilation, groups}), gradient,
                                  inputShape);
}

} // namespace

TORCH_LIBRARY_FRAGMENT(bq, m) {
  registerPackedWeightClass();
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("conv2d(Tensor x, Tensor codes, Tensor scales, Tensor? zeros, Tensor? bias, str format, int[] weight_shape, "
        "int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1, str compute=\"f32\", "
        "str activation=\"none\") -> Tensor",
        tags);
  m.def("conv2d_input_gradient(Tensor gradient, Tensor codes, Tensor scales, Tensor? zeros, str format, "
        "int[] weight_shape, SymInt[] input_shape, int[2] stride=1, int[2] padding=0, int[2] dilation=1, "
        "int groups=1, str compute=\"f32\") -> Tensor",
        tags);
  m.def("conv2d_packed(Tensor x, __torch__.torch.classes.bq.PackedWeight weight, Tensor? bias, int[2] stride=1, "
        "int[2] padding=0, int[2] dilation=1, int groups=1, str compute=\"f32\", str activation=\"none\") -> Tensor",
        tags);
  m.def("conv2d_packed_input_gradient(Tensor gradient, __torch__.torch.classes.bq.PackedWeight weight, "
        "SymInt[] input_shape, int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1, "
        "str compute=\"f32\") -> Tensor",
        tags);
}

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("conv2d", plainHere);
  m.impl("conv2d_packed", packedHere);
  m.impl("conv2d_input_gradient", plainGradientHere);
  m.impl("conv2d_packed_input_gradient", packedGradientHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("conv2d", plainMeta);
  m.impl("conv2d_packed", packedMeta);
  m.impl("conv2d_input_gradient", plainGradientMeta);
  m.impl("conv2d_packed_input_gradient", packedGradientMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("conv2d", gpu::OnGpu<plainHere, plainName>::call);
  m.impl("conv2d_packed", gpu::OnGpu<packedHere, packedName>::call);
  m.impl("conv2d_input_gradient", gpu::OnGpu<plainGradientHere, plainGradientName>::call);
  m.impl("conv2d_packed_input_gradient", gpu::OnGpu<packedGradientHere, packedGradientName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  m.impl("conv2d", conv2dAutograd);
  m.impl("conv2d_packed", conv2dPackedAutograd);
  m.impl("conv2d_input_gradient", conv2dInputGradientAutograd);
  m.impl("conv2d_packed_input_gradient", conv2dPackedInputGradientAutograd);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Conv2d.h"

#include "quantizers/InputGradient.h"
#include "quantizers/Products.h"
#include "quantizers/cuda/GpuLinear.h"

using namespace bq;

using at::Tensor;

namespace {

std::array<int64_t, 2> pairOf(const char *op, const char *name, at::IntArrayRef list, int64_t least) {
  TORCH_CHECK(list.size() == 1 || list.size() == 2, op, ": '", name, "' has ", list.size(),
              " numbers: use one, or one for each axis");
  for (int64_t value : list)
    TORCH_CHECK(value >= least, op, ": '", name, "' is ", shapeText(list), ": its numbers are at least ", least);
  return {list.front(), list.back()};
}

bool isChannelsLast(const Tensor &tensor) { return tensor.suggest_memory_format() == at::MemoryFormat::ChannelsLast; }

/// [B, C, H, W] as [B, H, W, C], contiguous.
Tensor imagesOf(const Tensor &tensor) { return tensor.permute({0, 2, 3, 1}).contiguous(); }

/// The other way, in the memory format of `like`; written to `target`.
Tensor fromImages(const Tensor &images, Tensor target) { return target.copy_(images.permute({0, 3, 1, 2})); }

/// Where kernels write [B, H, W, C], for a result: the result itself where it lies so, else memory of its own.
Tensor channelsLastTarget(const Tensor &result) {
  const Tensor images = result.permute({0, 2, 3, 1});
  return isChannelsLast(result) && images.is_contiguous() ? images : at::empty(images.sizes(), result.options());
}

Tensor batched(const Tensor &tensor) { return tensor.dim() == 3 ? tensor.unsqueeze(0) : tensor; }

c10::SymInt outSize(const Conv2dCall &call, int axis, const c10::SymInt &size) {
  const int64_t reach = call.dilation[axis] * (call.weightShape[2 + axis] - 1) + 1;
  const c10::SymInt padded = size + 2 * call.padding[axis];
  TORCH_CHECK(padded >= reach, call.op, ": the weight reaches over ", reach, " of axis ", axis, ", but 'x' has ",
              padded, " there with its padding");
  return (padded - reach) / call.stride[axis] + 1;
}

/// Sizes of y [B, O, OH, OW] for those of x.
c10::SymDimVector outSizes(const Conv2dCall &call, at::SymIntArrayRef x) {
  const int64_t channels = call.weightShape[1] * call.groups;
  TORCH_CHECK(x.size() == 4 && x[1] == channels, call.op, ": expected 'x' [B, ", channels, ", H, W] or [", channels,
              ", H, W] for a weight ", shapeText(call.weightShape), " in ", call.groups, " groups, got ", x);
  return {x[0], call.n(), outSize(call, 0, x[2]), outSize(call, 1, x[3])};
}

/// LibTorch's convolution, or where `rest` is given the transposed one that leaves so much. cuDNN rounds operands to
/// TF32 where LibTorch lets it, which may be in bf16 alone.
Tensor convolve(const Conv2dCall &call, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias,
                Compute compute, std::optional<std::array<int64_t, 2>> rest = std::nullopt) {
  const at::Context &context = at::globalContext();
  return at::_convolution(x, weight, bias, call.stride, call.padding, call.dilation, rest.has_value(),
                          rest.value_or(std::array<int64_t, 2>{0, 0}), call.groups, context.benchmarkCuDNN(),
                          context.deterministicCuDNN() || context.deterministicAlgorithms(), context.userEnabledCuDNN(),
                          /*allow_tf32=*/compute == Compute::BF16);
}

} // namespace

Conv2dCall::Conv2dCall(const char *op, at::IntArrayRef shape, const Conv2dSteps &steps)
    : op(op), weightShape(shape), stride(pairOf(op, "stride", steps.stride, 1)),
      padding(pairOf(op, "padding", steps.padding, 0)), dilation(pairOf(op, "dilation", steps.dilation, 1)),
      groups(steps.groups) {
  TORCH_CHECK(shape.size() == 4, op, ": expected 'weight_shape' [O, I / groups, kh, kw], got ", shapeText(shape));
  for (int64_t size : shape)
    TORCH_CHECK(size >= 1, op, ": 'weight_shape' is ", shapeText(shape), ": its sizes are at least 1");
  TORCH_CHECK(groups >= 1 && shape[0] % groups == 0, op, ": 'groups' is ", groups, ": use a divisor of the ", shape[0],
              " outputs");
}

Conv2dShape Conv2dCall::shape(at::IntArrayRef x) const {
  Conv2dShape shape;
  shape.batch = x[0];
  shape.channels = x[1];
  shape.height = x[2];
  shape.width = x[3];
  shape.outChannels = n();
  shape.kernel = {weightShape[2], weightShape[3]};
  shape.stride = stride;
  shape.padding = padding;
  shape.dilation = dilation;
  shape.groups = groups;
  return shape;
}

Tensor bq::emptyConv2dResult(const Conv2dCall &call, const Tensor &x, const std::optional<Tensor> &bias) {
  elementType(call.op, "x", x.scalar_type());
  const Tensor images = batched(x);
  c10::SymDimVector sizes = outSizes(call, images.sym_sizes());
  if (bias && bias->defined()) {
    TORCH_CHECK(bias->dim() == 1 && bias->sym_size(0) == call.n() && at::isFloatingType(bias->scalar_type()), call.op,
                ": expected 'bias' of floating point [", call.n(), "], got ", bias->scalar_type(), " ",
                bias->sym_sizes());
    checkDevice(call.op, "bias", *bias, x.device());
  }
  const Tensor y = at::empty_symint(sizes, images.options(), images.suggest_memory_format());
  return x.dim() == 3 ? y.squeeze(0) : y;
}

Tensor bq::conv2dByTorch(const Conv2dCall &call, const Tensor &x, const std::optional<Tensor> &bias,
                         const Conv2dWeight &weight, const LinearChoice &choice) {
  TORCH_CHECK(choice.compute == Compute::F32 || choice.compute == Compute::BF16, call.op, ": compute ",
              str(choice.compute), " of a convolution needs a kernel, which ", x.device(), " has not: use f32 or bf16");
  const bool isBF16 = choice.compute == Compute::BF16;
  auto rounded = [&](const Tensor &tensor) {
    return isBF16 ? tensor.to(at::kBFloat16).to(at::kFloat) : tensor.to(at::kFloat);
  };
  std::optional<Tensor> wide = bias && bias->defined() ? std::optional<Tensor>(bias->to(at::kFloat)) : std::nullopt;
  const Tensor y = convolve(call, rounded(x), rounded(weight.dense(at::kFloat)), wide, choice.compute);
  return activate(y, choice.activation).to(x.scalar_type());
}

Tensor bq::conv2dInputGradientByTorch(const Conv2dCall &call, const Tensor &gradient, const Conv2dShape &shape,
                                      const Conv2dWeight &weight, Compute compute) {
  return convolve(call, gradient, weight.dense(gradient.scalar_type()), std::nullopt, compute, shape.rest());
}

Tensor bq::runConv2d(const Conv2dCall &call, const Tensor &x, const std::optional<Tensor> &bias,
                     const Conv2dWeight &weight, const LinearChoice &choice) {
  Tensor y = emptyConv2dResult(call, x, bias);
  if (y.numel() == 0)
    return y;
  const Tensor images = batched(x);
  const Conv2dShape shape = call.shape(images.sizes());
  check(call.op, shape.verify());
  abi::Conv2dGeometry geometry = shape.forward();
  auto byTorch = [&] {
    batched(y).copy_(conv2dByTorch(call, images, bias, weight, choice));
    return y;
  };
  if (!x.is_cpu() && gpu::isLeftToTorch(call.op, geometry.pixels(), call.groups, weight.format, choice.compute))
    return byTorch();
  const Tensor input = imagesOf(images),
               bias32 = bias && bias->defined() ? bias->to(at::kFloat).contiguous() : Tensor();
  // Kernels write channels last; where y is that already, into y itself.
  Tensor target = batched(y);
  const Tensor result = channelsLastTarget(target);
  geometry.padCode = choice.padCode;
  const std::shared_ptr<const GroupedWeight> forms = weight.grouped();
  geometry.groups = forms->isDirect ? shape.groups : 1;
  GroupedProducts products;
  LinearArgs &args = products.args;
  args.dataType = elementType(call.op, "x", x.scalar_type());
  args.x = input.const_data_ptr();
  args.m = geometry.pixels();
  args.geometry = &geometry;
  args.bias = bias32.defined() ? bias32.const_data_ptr<float>() : nullptr;
  args.compute = choice.compute;
  args.activation = choice.activation;
  args.activationBits = choice.activationBits;
  args.activationScale = choice.activationBits ? choice.activationScale.const_data_ptr<float>() : nullptr;
  args.y = result.mutable_data_ptr();
  args.yStride = shape.outChannels;
  products.biasStep = shape.groupOutputs() * forms->together;
  products.xStep = shape.groupChannels() * forms->together * static_cast<int64_t>(x.element_size());
  products.yStep = products.biasStep * static_cast<int64_t>(x.element_size());
  if (x.is_cpu())
    forEachProduct(call.op, static_cast<int64_t>(forms->products.size()), [&](int64_t i, ParallelFor parallel) {
      return backend(call.op).linear(*forms->products[i], products.at(i), parallel);
    });
  else if (!gpu::conv2d(call.op, gpu::currentPlace(call.op, x.device()), products, *forms))
    return byTorch();
  if (!result.is_alias_of(target))
    fromImages(result, target);
  return y;
}

Tensor bq::emptyConv2dInputGradient(const Conv2dCall &call, const Tensor &gradient, at::SymIntArrayRef inputShape) {
  elementType(call.op, "gradient", gradient.scalar_type());
  const bool isBatched = inputShape.size() == 4;
  c10::SymDimVector sizes(inputShape);
  if (!isBatched)
    sizes.insert(sizes.begin(), 1);
  const Tensor images = batched(gradient);
  const c10::SymDimVector expected = outSizes(call, sizes);
  TORCH_CHECK(images.sym_sizes() == at::SymIntArrayRef(expected), call.op, ": expected 'gradient' ",
              at::SymIntArrayRef(expected), ", got ", gradient.sym_sizes());
  const Tensor dx = at::empty_symint(sizes, images.options(), images.suggest_memory_format());
  return isBatched ? dx : dx.squeeze(0);
}

Tensor bq::runConv2dInputGradient(const Conv2dCall &call, const Tensor &gradient, at::IntArrayRef inputShape,
                                  const Conv2dWeight &weight, Compute compute) {
  Tensor dx = emptyConv2dInputGradient(call, gradient, c10::fromIntArrayRefSlow(inputShape));
  if (dx.numel() == 0)
    return dx;
  Tensor target = batched(dx);
  const Tensor dy = batched(gradient);
  const Conv2dShape shape = call.shape(target.sizes());
  if (gradient.is_cpu() && call.layout().isDirect && shape.isDepthwise() && !weight.format.isMixed()) {
    check(call.op, shape.verify());
    const Tensor result = channelsLastTarget(target);
    depthwiseInputGradient(call.op, imagesOf(dy), shape, *weight.grouped(), gradientCompute(compute), result);
    if (!result.is_alias_of(target))
      fromImages(result, target);
    return dx;
  }
  if (gradient.is_cpu() && canTranspose(weight.format, call.k(), call.layout())) {
    check(call.op, shape.verify());
    fromImages(conv2dInputGradient(call.op, imagesOf(dy), shape, *weight.transposed(), gradientCompute(compute)),
               target);
    return dx;
  }
  if (gradient.is_cuda()) {
    check(call.op, shape.verify());
    const LinearWeight only{[&] { return weight.grouped()->products.front(); }, {}, weight.format, call.n(), call.k()};
    const Tensor done =
        gpu::conv2dInputGradient(call.op, gpu::currentPlace(call.op, gradient.device()), dy, shape, only, compute);
    if (done.defined()) {
      target.copy_(done);
      return dx;
    }
    target.copy_(conv2dInputGradientByTorch(call, dy, shape, weight, compute));
    return dx;
  }
  const Tensor dense = weight.dense(gradient.scalar_type());
  target.copy_(std::get<0>(at::convolution_backward(dy, target, dense, std::nullopt, call.stride, call.padding,
                                                    call.dilation, /*transposed=*/false, /*output_padding=*/{0, 0},
                                                    call.groups, {true, false, false})));
  return dx;
}

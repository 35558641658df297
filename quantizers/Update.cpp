// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Update.h"

#include "quantizers/Quantize.h"
#include "quantizers/cuda/GpuUpdate.h"

using namespace bq;

namespace {

constexpr const char *op = "bq::update";

int64_t blocksOf(int64_t columns) { return (columns + abi::momentBlock - 1) / abi::momentBlock; }

void checkTensor(const std::string &name, const char *what, const at::Tensor &tensor, at::IntArrayRef shape,
                 at::ScalarType type, at::Device device) {
  TORCH_CHECK(tensor.defined(), op, ": ", what, " of '", name, "' is missing");
  TORCH_CHECK(tensor.scalar_type() == type, op, ": expected ", what, " of '", name, "' of type ", type, ", got ",
              tensor.scalar_type());
  TORCH_CHECK(tensor.sizes() == shape, op, ": expected ", what, " of '", name, "' of shape ", shapeText(shape),
              ", got ", shapeText(tensor.sizes()));
  TORCH_CHECK(tensor.is_contiguous(), op, ": ", what, " of '", name, "' is changed in place and must be contiguous");
  TORCH_CHECK(tensor.device() == device, op, ": ", what, " of '", name, "' is on ", tensor.device(), ", the weight on ",
              device);
}

void checkAbsent(const std::string &name, const char *what, const at::Tensor &tensor, const std::string &why) {
  TORCH_CHECK(!tensor.defined(), op, ": ", what, " of '", name, "' is given, but ", why, " has none");
}

at::ScalarType momentScalar(MomentType type, UpdateRule rule, bool isSecond) {
  switch (type) {
  case MomentType::F16:
    return at::kHalf;
  case MomentType::BF16:
    return at::kBFloat16;
  case MomentType::Block8:
    return isSecond && rule == UpdateRule::Adam ? at::kByte : at::kChar;
  default:
    return at::kFloat;
  }
}

void setMoments(UpdateArgs &args, const std::string &name, const Moments &moments, at::IntArrayRef shape,
                at::IntArrayRef scaleShape, at::Device device) {
  args.moments = moments.type;
  const std::string typeText = "moment type " + std::string(str(moments.type));
  if (moments.type == MomentType::None) {
    for (auto [what, tensor] : {std::pair{"m", &moments.m}, std::pair{"v", &moments.v}})
      checkAbsent(name, what, *tensor, typeText);
  } else {
    checkTensor(name, "m", moments.m, shape, momentScalar(moments.type, args.rule, false), device);
    checkTensor(name, "v", moments.v, shape, momentScalar(moments.type, args.rule, true), device);
    args.m = moments.m.mutable_data_ptr();
    args.v = moments.v.mutable_data_ptr();
  }
  if (moments.type != MomentType::Block8) {
    checkAbsent(name, "mScales", moments.mScales, typeText);
    checkAbsent(name, "vScales", moments.vScales, typeText);
    return;
  }
  checkTensor(name, "mScales", moments.mScales, scaleShape, at::kFloat, device);
  checkTensor(name, "vScales", moments.vScales, scaleShape, at::kFloat, device);
  args.mScales = moments.mScales.mutable_data_ptr<float>();
  args.vScales = moments.vScales.mutable_data_ptr<float>();
}

void setOptions(UpdateArgs &args, int64_t step, const UpdateOptions &options) {
  args.rule = options.rule;
  args.lr = options.lr;
  args.weightDecay = options.weightDecay;
  args.beta1 = options.beta1;
  args.beta2 = options.beta2;
  args.epsilon = options.epsilon;
  args.biasCorrection = options.biasCorrection;
  args.seed = options.seed;
  args.gradientIsFinite = options.gradientIsFinite;
  args.step = step;
}

/// The gradient as the kernel reads it; keeps alive what args points to.
at::Tensor setGradient(UpdateArgs &args, const std::string &name, const at::Tensor &gradient, at::IntArrayRef shape,
                       at::Device device) {
  TORCH_CHECK(gradient.defined(), op, ": the gradient of '", name, "' is missing");
  TORCH_CHECK(!gradient.is_sparse(), op, ": the gradient of '", name, "' is sparse, which no step takes");
  TORCH_CHECK(gradient.sizes() == shape, op, ": expected the gradient of '", name, "' of shape ", shapeText(shape),
              ", got ", shapeText(gradient.sizes()));
  TORCH_CHECK(gradient.device() == device, op, ": the gradient of '", name, "' is on ", gradient.device(),
              ", the weight on ", device);
  args.dataType = elementType(op, "gradient", gradient.scalar_type());
  at::Tensor contiguous = gradient.contiguous();
  args.gradient = contiguous.const_data_ptr();
  return contiguous;
}

void run(const std::string &name, const UpdateArgs &args, at::Device device) {
  if (device.is_cuda())
    return gpu::update(op, gpu::currentPlace(op, device), args, name);
  TORCH_CHECK(device.is_cpu(), op, ": '", name, "' is on ", device, "; steps are taken on cpu and cuda");
  if (Status status = backend(op).update(args, parallelFor); !status)
    raise(op, Error{status.error().code, "'" + name + "': " + status.error().message});
}

} // namespace

Moments Moments::zeros(MomentType type, UpdateRule rule, at::IntArrayRef shape, bool isPacked, at::Device device) {
  Moments moments;
  moments.type = type;
  if (type == MomentType::None)
    return moments;
  auto make = [&](at::IntArrayRef sizes, at::ScalarType scalar) {
    return at::zeros(sizes, at::device(device).dtype(scalar));
  };
  moments.m = make(shape, momentScalar(type, rule, false));
  moments.v = make(shape, momentScalar(type, rule, true));
  if (type != MomentType::Block8)
    return moments;
  TORCH_CHECK(!isPacked || shape.size() == 2, op, ": expected a packed weight's shape [N, K], got ", shapeText(shape));
  const int64_t rows = isPacked ? shape[0] : 1, columns = isPacked ? shape[1] : c10::multiply_integers(shape);
  moments.mScales = make({rows, blocksOf(columns)}, at::kFloat);
  moments.vScales = make({rows, blocksOf(columns)}, at::kFloat);
  return moments;
}

void bq::update(const at::Tensor &weight, const at::Tensor &gradient, const Moments &moments, int64_t step,
                const UpdateOptions &options, const std::string &name) {
  at::NoGradGuard noGrad;
  UpdateArgs args;
  setOptions(args, step, options);
  TORCH_CHECK(weight.defined(), op, ": '", name, "' is missing");
  args.weightType = elementType(op, "weight", weight.scalar_type());
  checkTensor(name, "the values", weight, weight.sizes(), weight.scalar_type(), weight.device());
  const int64_t count = weight.numel();
  args.n = count ? 1 : 0;
  args.k = count;
  at::Tensor kept = setGradient(args, name, gradient, weight.sizes(), weight.device());
  setMoments(args, name, moments, weight.sizes(), {1, blocksOf(count)}, weight.device());
  args.weight = weight.mutable_data_ptr();
  run(name, args, weight.device());
  // Whoever has seen these values must see that they changed.
  if (!weight.is_inference())
    weight.unsafeGetTensorImpl()->bump_version();
}

void bq::update(const PackedParameter &weight, const at::Tensor &gradient, const Moments &moments, int64_t step,
                const UpdateOptions &options, const std::string &name) {
  at::NoGradGuard noGrad;
  UpdateArgs args;
  setOptions(args, step, options);
  TORCH_CHECK(weight.codes.defined() && weight.codes.dim() == 2, op, ": expected codes [N, bytes] of '", name, "'");
  TORCH_CHECK(gradient.defined() && gradient.dim() == 2, op, ": expected a gradient [N, K] of '", name, "', got ",
              gradient.defined() ? shapeText(gradient.sizes()) : "none");
  const Format &format = weight.format;
  const int64_t n = weight.codes.size(0), k = gradient.size(1);
  const at::Device device = weight.codes.device();
  checkTensor(name, "codes", weight.codes, {n, format.rowBytes(k)}, at::kByte, device);
  const bool isSign = format.kind == Format::Kind::Sign;
  PackedTarget packed;
  packed.format = format;
  packed.codes = weight.codes.mutable_data_ptr<uint8_t>();
  packed.rounding = weight.rounding;
  packed.scaling = weight.scaling;
  const std::vector<int64_t> groups = {n, format.groupCount(k)};
  if (!isSign) {
    TORCH_CHECK(weight.scales.defined(), op, ": scales of '", name, "' are missing");
    packed.scaleType = elementType(op, "scales", weight.scales.scalar_type());
    checkTensor(name, "scales", weight.scales, groups, weight.scales.scalar_type(), device);
    packed.scales = weight.scales.mutable_data_ptr();
  }
  if (format.hasZeroPoints()) {
    TORCH_CHECK(weight.zeros.defined(), op, ": zeros of '", name, "' are missing: format ", format.str(),
                " has zero points");
    const bool isFloat = weight.zeros.scalar_type() == at::kFloat;
    checkTensor(name, "zeros", weight.zeros, groups, isFloat ? at::kFloat : at::kByte, device);
    packed.zeroType = isFloat ? ZeroPointType::F32 : ZeroPointType::U8;
    packed.zeros = weight.zeros.mutable_data_ptr();
  } else {
    checkAbsent(name, "zeros", weight.zeros, "format " + format.str());
  }
  if (weight.rounding == Rounding::Residual) {
    checkTensor(name, "residual", weight.residual, {n, k}, at::kChar, device);
    packed.residual = weight.residual.mutable_data_ptr<int8_t>();
  } else {
    checkAbsent(name, "residual", weight.residual, "rounding " + std::string(str(weight.rounding)));
  }
  args.packed = packed;
  args.n = k ? n : 0;
  args.k = k;
  at::Tensor kept = setGradient(args, name, gradient, {n, k}, device);
  setMoments(args, name, moments, {n, k}, {n, blocksOf(k)}, device);
  run(name, args, device);
  // Prepacked forms are found by the versions of these tensors.
  for (const at::Tensor *tensor : {&weight.codes, &weight.scales, &weight.zeros, &weight.residual})
    if (tensor->defined() && !tensor->is_inference())
      tensor->unsafeGetTensorImpl()->bump_version();
}

void bq::checkSteps(at::Device device) {
  constexpr const char *op = "bq::checkSteps";
  if (const at::Device own = gpu::withIndex(op, device); own.is_cuda())
    gpu::report(op, gpu::currentPlace(op, own), /*waits=*/true);
}

void bq::watchGradient(const at::Tensor &gradient, const std::string &name) {
  constexpr const char *op = "bq::watchGradient";
  TORCH_CHECK(gradient.defined() && gradient.is_cuda(), op, ": the gradient of '", name, "' is ",
              gradient.defined() ? "on " + gradient.device().str() : "missing", ": use one on a GPU");
  UpdateArgs args;
  const at::Tensor contiguous = gradient.contiguous();
  args.dataType = elementType(op, "gradient", gradient.scalar_type());
  args.gradient = contiguous.const_data_ptr();
  args.n = 1;
  args.k = gradient.numel();
  gpu::watch(op, gpu::currentPlace(op, gradient.device()), args, name);
}

at::Tensor bq::value(const PackedParameter &weight) {
  at::NoGradGuard noGrad;
  const int64_t n = weight.codes.size(0);
  TORCH_CHECK(weight.residual.defined(), "bq::value: the weight keeps no residual: use bq::dequantize");
  const int64_t k = weight.residual.size(1);
  std::optional<at::Tensor> zeros;
  if (weight.zeros.defined())
    zeros = weight.zeros;
  at::Tensor scales = weight.scales.to(at::kFloat);
  at::Tensor coarse = dequantize(weight.codes, scales, zeros, weight.format, {n, k});
  at::Tensor columns = scales.repeat_interleave(weight.format.groupSize(k), 1).slice(1, 0, k);
  return coarse + columns * weight.residual.to(at::kFloat) / 256;
}

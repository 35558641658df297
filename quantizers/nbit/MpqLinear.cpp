// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/MpqLinear.h"

#include "quantizers/Dispatch.h"
#include "quantizers/InputGradient.h"
#include "quantizers/Linear.h"
#include "quantizers/Quantize.h"
#include "quantizers/nbit/LayerTensors.h"
#include "quantizers/nbit/Packing.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/init.h>

#include <cmath>

using namespace bq;
using namespace bq::nn;

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

static constexpr const char *layerName = "bq::nn::MPQLinear";

namespace {

/// Hands on y = x W^T, and on the way back puts the gradient of W into the slot of the parameter that `codes` are.
/// `handle`, empty, requires a gradient in their place.
struct WeightGradient : torch::autograd::Function<WeightGradient> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &y, const at::Tensor &x, const at::Tensor &codes,
                            const at::Tensor &handle) {
    context->save_for_backward({x, codes});
    // Handed on as changed in place: as a view it could not be changed in place by whatever follows.
    context->mark_dirty({y});
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    if (context->needs_input_grad(3)) {
      variable_list saved = context->get_saved_variables();
      QuantizedParameter parameter(saved[1]);
      at::Tensor gradient = linearWeightGradient(gradients[0], saved[0]).to(at::kFloat);
      bool isTransposed = parameter.contents().upstreamCompatible;
      parameter.accumulateGrad(isTransposed ? gradient.t().contiguous() : gradient);
    }
    return {gradients[0], {}, {}, {}};
  }
};

} // namespace

MPQLinearImpl::MPQLinearImpl(MPQLinearOptions given) : options(std::move(given)) {
  TORCH_CHECK(options.w_bits() >= 1 && options.w_bits() <= 8, layerName, ": w_bits is ", options.w_bits(),
              ": use 1 to 8");
  TORCH_CHECK(options.in_features() > 0 && options.out_features() > 0, layerName, ": sizes must be positive, got ",
              options.in_features(), " and ", options.out_features());
  TORCH_CHECK(options.group_size() == -1 || options.group_size() > 0, layerName, ": group_size is ",
              options.group_size(), ": use a positive number, or -1 for all inputs");
  elementType(layerName, "dtype", options.dtype());
  LinearChoice::parse(layerName, options.compute(), "none");
  reset();
}

Format MPQLinearImpl::format() const {
  Format format;
  format.kind = Format::Kind::UInt;
  format.bits = static_cast<int>(options.w_bits());
  if (options.group_size() > 0 && options.group_size() < options.in_features())
    format.group = options.group_size();
  return format;
}

int64_t MPQLinearImpl::groups() const { return format().groupCount(options.in_features()); }

ZeroConvention MPQLinearImpl::convention() const {
  return options.asym() ? ZeroConvention::StoredMinusOne : ZeroConvention::Scaled;
}

static at::Tensor freshWeight(const MPQLinearOptions &options) {
  at::Tensor weight = at::empty({options.out_features(), options.in_features()}, options.device());
  return torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
}

void MPQLinearImpl::reset() {
  at::NoGradGuard noGrad;
  const int64_t n = options.out_features(), k = options.in_features();
  bias = at::Tensor();
  if (options.bias())
    bias = register_parameter("bias", at::zeros({n}, at::device(options.device()).dtype(options.dtype())));
  ParameterContents contents;
  contents.shape = {n, k};
  contents.format = format();
  contents.upstreamCompatible = options.upstream_compatible();
  auto [codes, codeScales, codeZeros] = quantize(freshWeight(options), contents.format, options.dtype());
  if (options.upstream_compatible()) {
    GptqWeight fresh =
        fromCanonical({codes, codeScales, codeZeros, std::nullopt}, contents.format, k, ZeroConvention::Scaled);
    fresh.zeroConvention = convention();
    // Where zero points are packed, they are at least one.
    if (options.asym())
      fresh.zeros = packGptqZeros(codeZeros.t().clamp_min(1), options.w_bits(), fresh.zeroConvention);
    weight = register_parameter("weight", fresh.words, /*requires_grad=*/false);
    scales = fresh.scales = register_buffer("scales", fresh.scales);
    zeros = fresh.zeros = register_buffer("zeros", fresh.zeros);
    columnOrder = fresh.groupIndex = register_buffer("column_order", fresh.groupIndex);
    fresh.words = at::Tensor();
    contents.gptq = fresh;
  } else {
    weight = register_parameter("weight", codes, /*requires_grad=*/false);
    contents.scales = scales = register_buffer("scales", codeScales);
    contents.zeros = zeros = register_buffer("zeros", codeZeros.to(at::kFloat));
    columnOrder = register_buffer("column_order", at::empty({0}, codes.options().dtype(at::kLong)));
  }
  MPQWeightParameter(weight, std::move(contents));
}

void MPQLinearImpl::setGptqWeight(GptqWeight checkpoint, const GbaStatistics &statistics) {
  auto [decodedScales, decodedZeros] = decodeGba(statistics);
  checkpoint.scales = decodedScales;
  if (decodedZeros.defined()) {
    checkpoint.zeros = decodedZeros;
    checkpoint.zeroConvention = ZeroConvention::Scaled;
  }
  setGptqWeight(checkpoint);
}

void MPQLinearImpl::setGptqWeight(const GptqWeight &checkpoint) {
  at::NoGradGuard noGrad;
  checkGptq(checkpoint);
  const int64_t n = options.out_features(), k = options.in_features();
  TORCH_CHECK(checkpoint.bits == options.w_bits() && checkpoint.inFeatures == k && checkpoint.outFeatures() == n &&
                  checkpoint.scales.size(0) == groups(),
              layerName, ": expected ", options.w_bits(), " bits, ", k, " inputs, ", n, " outputs and ", groups(),
              " groups, the checkpoint has ", checkpoint.bits, ", ", checkpoint.inFeatures, ", ",
              checkpoint.outFeatures(), " and ", checkpoint.scales.size(0));
  TORCH_CHECK((checkpoint.zeroConvention == ZeroConvention::Scaled) != options.asym(), layerName,
              ": the checkpoint's zero points are ", options.asym() ? "floating" : "packed integers",
              ", so asym must be ", options.asym() ? "false" : "true");
  if (options.upstream_compatible())
    return setUpstream(checkpoint);

  WeightTensors canonical = toCanonical(checkpoint);
  at::Tensor canonicalZeros = canonical.zeros->to(at::kFloat);
  TORCH_CHECK(at::isfinite(canonicalZeros).all().item<bool>(), layerName,
              ": a scale of the checkpoint is 0 where its zero point is not, so the zero point over the scale is not "
              "finite");
  at::Tensor codes = canonical.codes, order = at::empty({0}, columnOrder.options());
  if (canonical.groupIndex) {
    order = canonical.groupIndex->argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
    at::Tensor column = at::arange(k, canonical.groupIndex->options());
    at::Tensor wanted = at::div(column, format().groupSize(k), "floor");
    TORCH_CHECK(canonical.groupIndex->index_select(0, order).equal(wanted), layerName,
                ": groups of different numbers of inputs cannot be trained, expected ", format().groupSize(k),
                " in each");
    codes = packRows(unpackRows(codes, options.w_bits(), k).index_select(1, order), options.w_bits());
  }
  weight.copy_(codes);
  scales.copy_(canonical.scales);
  zeros.copy_(canonicalZeros);
  columnOrder.set_data(order.to(columnOrder.device()));
  MPQWeightParameter(weight).contents().residual = at::Tensor();
}

void MPQLinearImpl::setUpstream(const GptqWeight &checkpoint) {
  TORCH_CHECK(!checkpoint.rowOrder.defined() || !checkpoint.rowOrder.any().item<bool>(), layerName,
              ": an upstream_compatible layer takes no order of rows (q_perm)");
  GptqWeight &own = MPQWeightParameter(weight).contents().gptq;
  weight.copy_(checkpoint.words);
  own.scales.copy_(checkpoint.scales);
  own.zeros.copy_(checkpoint.zeros);
  own.groupIndex.copy_(gptqGroupIndex(checkpoint));
}

GptqWeight MPQLinearImpl::gptqWeight() const {
  at::NoGradGuard noGrad;
  if (options.upstream_compatible()) {
    GptqWeight own = MPQWeightParameter(weight).contents().gptq;
    own.words = weight;
    return own;
  }
  const int64_t k = options.in_features();
  WeightTensors canonical = MPQWeightParameter(weight).weight();
  if (columnOrder.numel()) {
    at::Tensor inverse = columnOrder.argsort();
    at::Tensor columns = unpackRows(canonical.codes, options.w_bits(), k).index_select(1, inverse);
    canonical.codes = packRows(columns, options.w_bits());
    canonical.groupIndex = at::div(inverse, format().groupSize(k), "floor").to(at::kInt);
  }
  return fromCanonical(canonical, format(), k, convention());
}

void MPQLinearImpl::prepareParams() {}

void MPQLinearImpl::generateQuantizedWeight(bool) {}

void MPQLinearImpl::setWeightData(const at::Tensor &data) {
  at::NoGradGuard noGrad;
  TORCH_CHECK(!options.upstream_compatible(), layerName, ": an upstream_compatible layer takes setGptqWeight()");
  TORCH_CHECK(data.sizes() == at::IntArrayRef({options.out_features(), options.in_features()}), layerName,
              ": expected a weight of shape [", options.out_features(), ", ", options.in_features(), "], got ",
              shapeText(data.sizes()));
  auto [codes, codeScales, codeZeros] = quantize(data.to(weight.device()), format(), scales.scalar_type());
  weight.copy_(codes);
  scales.copy_(codeScales);
  zeros.copy_(codeZeros);
  columnOrder.set_data(at::empty({0}, columnOrder.options()));
  MPQWeightParameter(weight).contents().residual = at::Tensor();
}

void MPQLinearImpl::setQuantizedWeightData(const at::Tensor &codes) {
  at::NoGradGuard noGrad;
  TORCH_CHECK(codes.scalar_type() == weight.scalar_type() && codes.sizes() == weight.sizes(), layerName,
              ": expected codes of type ", weight.scalar_type(), " and shape ", shapeText(weight.sizes()), ", got ",
              codes.scalar_type(), " ", shapeText(codes.sizes()));
  weight.copy_(codes);
  MPQWeightParameter(weight).contents().residual = at::Tensor();
}

void MPQLinearImpl::resetParameters() {
  at::NoGradGuard noGrad;
  if (bias.defined())
    bias.zero_();
  setWeightData(freshWeight(options));
}

at::Tensor MPQLinearImpl::optWeight() { return is_training() ? MPQWeightParameter(weight).dequantize() : weight; }

void MPQLinearImpl::checkForward(const at::Tensor &x) const {
  TORCH_CHECK(x.defined() && x.is_floating_point() && x.dim() >= 1 && x.size(-1) == options.in_features(), layerName,
              ": expected a floating input [..., ", options.in_features(), "], got ",
              x.defined() ? std::string(toString(x.scalar_type())) + " " + shapeText(x.sizes()) : "none");
  checkDevice(layerName, "x", x, weight.device());
}

at::Tensor MPQLinearImpl::forward(const at::Tensor &x) {
  checkForward(x);
  MPQWeightParameter parameter(weight);
  std::optional<at::Tensor> optionalBias;
  if (bias.defined())
    optionalBias = bias;
  at::Tensor input = x, y;
  if (options.upstream_compatible()) {
    y = at::linear(x, parameter.dequantize().t().to(x.scalar_type()), optionalBias);
  } else {
    if (columnOrder.numel())
      input = x.index_select(-1, columnOrder);
    y = dispatch::linear(input, weight, scales, zeros, optionalBias, format().str(), options.compute(), "none",
                         std::nullopt);
  }
  if (!at::GradMode::is_enabled() || !options.requires_grad())
    return y;
  return WeightGradient::apply(y, input.detach(), weight, at::empty({0}, y.options()).requires_grad_(true));
}

void MPQLinearImpl::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypes({weight, zeros, columnOrder}, nonBlocking, [&] { Module::to(device, dtype, nonBlocking); });
}

void MPQLinearImpl::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypes({weight, zeros, columnOrder}, nonBlocking, [&] { Module::to(dtype, nonBlocking); });
}

void MPQLinearImpl::to(torch::Device device, bool nonBlocking) { Module::to(device, nonBlocking); }

void MPQLinearImpl::load(torch::serialize::InputArchive &archive) {
  auto isOrder = [&](const std::string &key, at::IntArrayRef shape) {
    return key == "column_order" && shape.size() == 1 && (shape[0] == 0 || shape[0] == options.in_features());
  };
  LoadedTensors(layerName, *this, archive, isOrder).install();
}

void MPQLinearImpl::pretty_print(std::ostream &stream) const {
  stream << layerName << "(in_features=" << options.in_features() << ", out_features=" << options.out_features()
         << ", format=" << format().str() << ", bias=" << (options.bias() ? "true" : "false")
         << ", compute=" << options.compute() << ")";
}

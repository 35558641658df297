// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/OneBit.h"

#include <algorithm>
#include <chrono>

using namespace bq;
using namespace bq::onebit;

using at::Tensor;

namespace {

/// A few of the names that could have been meant.
std::string someNames(const std::vector<ModelLayer> &layers) {
  constexpr size_t shown = 3;
  std::string text;
  for (size_t i = 0; i < layers.size() && i < shown; ++i)
    text += (i ? ", '" : "'") + layers[i].name + "'";
  return layers.size() > shown ? text + ", ..." : text;
}

/// Those that names and keywords choose. Throws where there is none.
std::vector<ModelLayer> choose(const OneBitOptions &options, std::vector<ModelLayer> layers) {
  std::vector<std::string> names;
  for (const ModelLayer &layer : layers)
    names.push_back(layer.name);
  const std::vector<std::string> chosen = options.filter().select(names);
  std::string types;
  for (const std::string &type : options.target_layer_types())
    types += (types.empty() ? "" : ", ") + type;
  TORCH_CHECK(!layers.empty(), options.name(), ": the model has no layer of target_layer_types ", types,
              " with a weight of two dimensions");
  TORCH_CHECK(!chosen.empty(), options.name(), ": none of ", layers.size(), " layers is chosen by names and keywords; ",
              "the model has ", someNames(layers));
  std::vector<ModelLayer> result;
  for (ModelLayer &layer : layers)
    if (std::find(chosen.begin(), chosen.end(), layer.name) != chosen.end())
      result.push_back(std::move(layer));
  return result;
}

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// From a Hessian, in double: sums over its rows, as errors of inputs have them.
SquaredError outputErrorFrom(const Tensor &weight, const Tensor &quantized, const Hessian &hessian) {
  const double scale = hessian.rows() / 2.0;
  const double wanted = outputError(weight, at::zeros_like(weight), hessian);
  SquaredError error;
  error.sum = outputError(weight, quantized, hessian) * scale;
  error.mean = hessian.rows() ? error.sum / (static_cast<double>(weight.size(0)) * hessian.rows()) : 0;
  if (wanted > 0)
    error.relative = error.sum / (wanted * scale);
  return error;
}

} // namespace

OneBit::OneBit(OneBitOptions options) : options(std::move(options)) { this->options.check(); }

void OneBit::setup(const torch::nn::Module &model) {
  setup(choose(options, findLayers(model, options.target_layer_types())));
}

void OneBit::setup(const torch::jit::Module &model) {
  setup(choose(options, findLayers(model, options.target_layer_types())));
}

void OneBit::setup(std::vector<ModelLayer> layers) {
  TORCH_CHECK(modelLayers.empty(), options.name(), ": is set up for a model already; call finish() first");
  TORCH_CHECK(!layers.empty(), options.name(), ": there is no layer to quantize");
  for (const ModelLayer &layer : layers)
    if (layer.module)
      namesOfModules.emplace(layer.module, layer.name);
  modelLayers = std::move(layers);
}

void OneBit::finish() {
  modelLayers.clear();
  namesOfModules.clear();
}

const ModelLayer &OneBit::find(const std::string &layer) const {
  const auto found = std::find_if(modelLayers.begin(), modelLayers.end(),
                                  [&](const ModelLayer &candidate) { return candidate.name == layer; });
  TORCH_CHECK(found != modelLayers.end(), options.name(), ": there is no layer '", layer, "'; there are ",
              modelLayers.empty() ? "none before setup()" : someNames(modelLayers));
  return *found;
}

const ModelLayer &OneBit::find(const void *module) const {
  const auto found = namesOfModules.find(module);
  TORCH_CHECK(found != namesOfModules.end(), options.name(), ": this module is no layer that setup() has found");
  return find(found->second);
}

const OneBitResult &OneBit::quantize(const std::string &name, const Tensor &inputs) {
  const ModelLayer &layer = find(name);
  Tensor weight = layer.rows();
  at::NoGradGuard noGrad;
  Tensor x = inputs.detach().to(at::kCPU);
  Hessian hessian(weight.size(1), options.hessian_dtype());
  addInputs(name, hessian, x);
  return results[name] = decompose(layer, weight, &hessian, &x);
}

const OneBitResult &OneBit::quantize(const torch::nn::Module &layer, const Tensor &inputs) {
  return quantize(find(&layer).name, inputs);
}

const OneBitResult &OneBit::quantize(const torch::jit::Module &layer, const Tensor &inputs) {
  return quantize(find(layer._ivalue().get()).name, inputs);
}

const OneBitResult &OneBit::quantizeWithQep(const std::string &name, const Tensor &floatInputs, const Tensor &inputs,
                                            const QepOptions &qep) {
  const ModelLayer &layer = find(name);
  Tensor weight = layer.rows();
  at::NoGradGuard noGrad;
  Tensor x = inputs.detach().to(at::kCPU);
  Hessian hessian(weight.size(1), options.hessian_dtype());
  addInputs(name, hessian, x);
  Tensor adjusted = adjustWeight(weight.detach().to(at::kCPU), hessian.value(),
                                 inputShift(floatInputs.detach().to(at::kCPU), x), qep);
  return results[name] = decompose(layer, adjusted, &hessian, &x);
}

void OneBit::addInputs(const std::string &layer, Hessian &hessian, const Tensor &x) {
  try {
    hessian.add(x.to(at::kCPU));
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, "layer '", layer, "': ", error.what_without_backtrace());
  }
}

OneBitResult OneBit::decompose(const ModelLayer &layer, const Tensor &weight, const Hessian *hessian, const Tensor *x,
                               double inputNoise) const {
  const auto start = std::chrono::steady_clock::now();
  Tensor values = weight.detach().to(at::kCPU).contiguous();
  TORCH_CHECK(values.isfinite().all().item<bool>(), "layer '", layer.name, "': its weight ", layer.weight.sizes(),
              " holds NaN or infinity");
  try {
    Importance importance;
    if (hessian && options.flag_hessian()) {
      importance.hessian = hessian->value();
      Tensor diagonal = importance.hessian.diagonal();
      diagonal.add_(diagonal.mean() * inputNoise);
    }
    importance.inputNorms = layer.inputNorms;
    importance.outputNorms = layer.outputNorms;
    const DecomposeOptions decomposition = options.decomposition();
    OneBitResult result =
        OneBitResult::fromDecomposition(onebit::decompose(values, decomposition, importance), decomposition);
    result.quantizationTime = secondsSince(start);
    if (options.calc_quant_error()) {
      Tensor quantized = result.dequantizedWeight();
      result.weightError = weightError(values, quantized);
      if (x)
        result.outputError = outputError(values, quantized, *x);
      else if (hessian)
        result.outputError = outputErrorFrom(values, quantized, *hessian);
    }
    if (hessian && options.flag_xtx())
      result.xtx = hessian->value().to(at::kDouble) * (hessian->rows() / 2.0);
    result.isTransposed = layer.isTransposed;
    return result;
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, "layer '", layer.name, "': ", error.what_without_backtrace());
  }
}

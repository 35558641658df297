// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/distill/Student.h"

#include "quantizers/nbit/Packing.h"
#include "quantizers/onebit/StraightThrough.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bq;
using namespace bq::cli;

using at::Tensor;

/// With tensors that are leaves.
static torch::jit::Module copyOf(const torch::jit::Module &model) {
  const at::NoGradGuard noGrad;
  return model.deepcopy();
}

Student::Student(const torch::jit::Module &teacher, ConvertOptions given)
    : script(copyOf(teacher)), conversion(std::move(given)) {
  script.eval();
  report = planConversion(teacher, conversion);
  const ConvertReport own = planConversion(script, conversion);
  for (size_t i = 0; i < report.layers.size(); ++i) {
    LayerReport &layer = report.layers[i];
    const std::vector<torch::jit::Module> places = holdersOf(layer.name);
    for (const torch::jit::Module &place : places)
      TORCH_CHECK(place.hasattr("weight") && place.attr("weight").isTensor() &&
                      place.attr("weight").toTensor().is_same(own.layers[i].weight),
                  "layer '", layer.name, "' holds its weight under another name than 'weight'; exclude it");
    TORCH_CHECK(layer.weight.scalar_type() == at::kFloat, "layer '", layer.name, "': its weight is ",
                layer.weight.scalar_type(), "; models are distilled in Float");
    holders.push_back(places);
    studentLayers.push_back({layer.name, layer.weight.detach(), {}, {}, {}});
  }
  for (const Tensor &tensor : script.parameters()) {
    const bool trains = tensor.dim() <= 1 && tensor.is_floating_point();
    tensor.requires_grad_(trains);
    if (trains)
      otherTensors.push_back(tensor);
  }
}

std::vector<torch::jit::Module> Student::holdersOf(const std::string &names) const {
  std::vector<torch::jit::Module> result;
  // A weight that layers share has all of their names.
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = std::min(names.find(", ", begin), names.size());
    torch::jit::Module module = script;
    for (size_t part = begin; part < end;) {
      const size_t dot = std::min(names.find('.', part), end);
      module = module.attr(names.substr(part, dot - part)).toModule();
      part = dot + 1;
    }
    result.push_back(module);
    begin = end + 2;
  }
  return result;
}

void Student::start(const CalibrationData &data, const OneBitRunOptions &options) {
  const bool calibrated = static_cast<bool>(data.forward);
  OneBit quantizer(OneBitOptions().flag_calibration(calibrated).flag_hessian(calibrated));
  std::vector<onebit::ModelLayer> layers;
  for (const Layer &layer : studentLayers) {
    onebit::ModelLayer model;
    model.name = layer.name;
    model.weight = layer.weight;
    layers.push_back(std::move(model));
  }
  quantizer.setup(layers);
  quantizer.run(data, options);
  for (Layer &layer : studentLayers) {
    const OneBitResult &result = quantizer.results.at(layer.name);
    const Tensor sign = unpackRows(result.sign, 1, layer.weight.size(1)).to(at::kBool);
    const Tensor a = result.a.to(at::kFloat), b = result.b.to(at::kFloat);
    layer.latent = onebit::latentOf(layer.weight, {a, b, sign, {}}).requires_grad_(true);
    layer.a = a.clone().requires_grad_(true);
    layer.b = b.clone().requires_grad_(true);
  }
}

c10::IValue Student::forward(const ModelInputs &inputs, std::vector<LayerOutput> *outputs) {
  std::vector<Tensor> weights;
  for (size_t i = 0; i < studentLayers.size(); ++i) {
    const Layer &layer = studentLayers[i];
    weights.push_back(onebit::signWeight(layer.latent, layer.a, layer.b));
    for (torch::jit::Module &holder : holders[i])
      holder.setattr("weight", weights.back());
  }
  if (!outputs)
    return script.forward(inputs);
  c10::IValue result;
  *outputs = captureOutputs(weights, [&] { result = script.forward(inputs); });
  return result;
}

torch::jit::Module Student::toScript() {
  const at::NoGradGuard noGrad;
  ConvertOptions options = conversion;
  for (size_t i = 0; i < studentLayers.size(); ++i) {
    const Layer &layer = studentLayers[i];
    const onebit::Decomposition form{layer.a.detach(), layer.b.detach(), layer.latent.detach() >= 0, {}};
    options.ready[layer.name] = OneBitResult::fromDecomposition(form, {}).pack();
    for (torch::jit::Module &holder : holders[i])
      holder.setattr("weight", layer.weight);
  }
  torch::jit::Module module = copyOf(script);
  convert(module, options);
  for (const Tensor &tensor : module.parameters())
    tensor.requires_grad_(false);
  return module;
}

std::vector<Tensor> Student::teacherWeights() const {
  std::vector<Tensor> tensors;
  for (const Layer &layer : studentLayers)
    tensors.push_back(layer.weight);
  return tensors;
}

std::vector<Tensor> Student::latents() const {
  std::vector<Tensor> tensors;
  for (const Layer &layer : studentLayers)
    tensors.push_back(layer.latent);
  return tensors;
}

std::vector<Tensor> Student::factors() const {
  std::vector<Tensor> tensors;
  for (const Layer &layer : studentLayers)
    tensors.insert(tensors.end(), {layer.a, layer.b});
  return tensors;
}

std::vector<std::pair<std::string, Tensor>> Student::trained() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (size_t i = 0; i < studentLayers.size(); ++i) {
    tensors.emplace_back(fmt::format("latent{}", i), studentLayers[i].latent);
    tensors.emplace_back(fmt::format("a{}", i), studentLayers[i].a);
    tensors.emplace_back(fmt::format("b{}", i), studentLayers[i].b);
  }
  for (size_t i = 0; i < otherTensors.size(); ++i)
    tensors.emplace_back(fmt::format("other{}", i), otherTensors[i]);
  return tensors;
}

void Student::save(torch::serialize::OutputArchive &archive) const {
  for (const auto &[name, tensor] : trained())
    archive.write(name, tensor.detach(), /*is_buffer=*/true);
}

void Student::load(torch::serialize::InputArchive &archive) {
  const at::NoGradGuard noGrad;
  for (Layer &layer : studentLayers) {
    if (layer.latent.defined())
      continue;
    const at::IntArrayRef sizes = layer.weight.sizes();
    layer.latent = at::empty(sizes, at::kFloat).requires_grad_(true);
    layer.a = at::empty({sizes[0]}, at::kFloat).requires_grad_(true);
    layer.b = at::empty({sizes[1]}, at::kFloat).requires_grad_(true);
  }
  for (const auto &[name, tensor] : trained()) {
    Tensor saved;
    archive.read(name, saved, /*is_buffer=*/true);
    TORCH_CHECK(saved.sizes() == tensor.sizes() && saved.scalar_type() == tensor.scalar_type(), "'", name, "' is ",
                saved.scalar_type(), " ", saved.sizes(), ", expected ", tensor.scalar_type(), " ", tensor.sizes());
    tensor.copy_(saved);
  }
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/ScriptModel.h"

#include "quantizers/FakeQuantize.h"
#include "quantizers/diffq/ModelView.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <regex>

using namespace bq;
using namespace bq::cli;

namespace {

/// What bq::quantize() gives a row for int<bits>: the greatest magnitude becomes the greatest code.
at::Tensor rowScales(const at::Tensor &weight, int64_t bits) {
  const at::Tensor maximum = weight.detach().abs().flatten(1).amax(1);
  return at::where(maximum.gt(0), maximum / static_cast<double>((1 << (bits - 1)) - 1), 1);
}

/// Modules do not take names with dots.
std::string flatName(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return name;
}

torch::jit::Module holderOf(torch::jit::Module module, const std::string &name) {
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    module = module.attr(name.substr(begin, end - begin)).toModule();
    begin = end + 1;
  }
  return module;
}

/// The logits for one example, or what is wrong with them.
Status checkLogits(ScriptModel &model, const TrainOptions &options, const DataSet &train) {
  const at::Tensor x = train.x.narrow(0, 0, 1);
  const auto classes = static_cast<int64_t>(train.classes.size());
  const torch::NoGradGuard noGradient;
  model.eval();
  const std::string what = fmt::format("--model {}: for an input {} ", options.model, shapeText(x.sizes().vec()));
  try {
    const at::Tensor logits = model.forward(x);
    if (!logits.is_floating_point() || logits.dim() != 2 || logits.size(0) != 1 || logits.size(1) != classes)
      return invalidArgument(fmt::format("{}gives {} {}, expected floats [1, {}], a number for each class", what,
                                         toString(logits.scalar_type()), shapeText(logits.sizes().vec()), classes));
  } catch (const std::exception &error) {
    return invalidArgument(fmt::format("{}fails: {}", what, modelErrorText(error)));
  }
  return {};
}

} // namespace

Expected<std::shared_ptr<TrainModel>> ScriptModel::open(const TrainOptions &options, const DataSet &train) {
  if (options.layer != "float" && options.layer != "nbit")
    return invalidArgument(
        fmt::format("--layer {}: the layers of a TorchScript model can be nbit or float", options.layer));
  if (options.layer == "nbit" && options.weightBits < 2)
    return invalidArgument(
        fmt::format("--weight-bits {}: the layers of a TorchScript model can have 2 to 8", options.weightBits));
  if (std::find(options.given.begin(), options.given.end(), "activation-bits") != options.given.end())
    return invalidArgument("--activation-bits: the activations of a TorchScript model stay float");
  Expected<torch::jit::Module> module = loadModel(options.model);
  if (!module)
    return module.error();
  std::shared_ptr<ScriptModel> model(new ScriptModel(std::move(*module), normalizationOf(train.x)));
  if (model->parameters().empty())
    return invalidArgument(fmt::format("--model {}: has no parameter to train", options.model));
  if (options.layer == "nbit")
    try {
      model->planLayers(options.weightBits);
    } catch (const c10::Error &error) {
      return invalidArgument(
          fmt::format("--model {}: {}; --layer float trains it as it is", options.model, modelErrorText(error)));
    }
  if (Status status = checkLogits(*model, options, train); !status)
    return status.error();
  return std::shared_ptr<TrainModel>(std::move(model));
}

ScriptModel::ScriptModel(torch::jit::Module model, const Normalization &normalization)
    : script("__torch__.Normalized", model._ivalue()->compilation_unit(), /*shouldMangle=*/true) {
  script.register_attribute("training", c10::BoolType::get(), false);
  script.register_module("model", model);
  script.register_buffer("mean", normalization.mean);
  script.register_buffer("stddev", normalization.stddev);
  script.define("def forward(self, x):\n  return self.model.forward((x - self.mean) / self.stddev)\n");
  diffq::shareTensorObjects(script);
  registerTensors();
}

void ScriptModel::registerTensors() {
  for (const auto &parameter : script.named_parameters())
    if (parameter.value.requires_grad())
      register_parameter(flatName(parameter.name), parameter.value);
    else
      register_buffer(flatName(parameter.name), parameter.value);
  for (const auto &buffer : script.named_buffers())
    register_buffer(flatName(buffer.name), buffer.value);
}

void ScriptModel::planLayers(int bits) {
  conversion.rules = {*FormatRule::parse(fmt::format("int{}", bits))};
  report = planConversion(script, conversion);
  for (const LayerReport &layer : report.layers) {
    const torch::jit::Module holder = holderOf(script, layer.name);
    packed.push_back({holder, holder.attr("weight").toTensor()});
  }
}

void ScriptModel::train(bool on) {
  if (on)
    converted.reset();
  TrainModel::train(on);
  script.train(on);
}

at::Tensor ScriptModel::forward(const at::Tensor &x) {
  for (Layer &layer : packed) {
    const int64_t bits = conversion.rules[0].format.bits;
    layer.holder.setattr("weight", fakeQuantize(layer.weight, rowScales(layer.weight, bits), std::nullopt, bits));
  }
  return script.forward({x}).toTensor();
}

void ScriptModel::usePacked(const std::vector<PackedParameter> &weights) {
  ConvertOptions all;
  all.rules = {*FormatRule::parse("int8")};
  conversion = {};
  report = {};
  for (const LayerReport &layer : planConversion(script, all).layers)
    for (const PackedParameter &packed : weights)
      if (layer.weight.is_same(packed.parameter)) {
        const std::string pattern = std::regex_replace(layer.name, std::regex(R"([.\[\]*+?^$(){}|\\])"), R"(\$&)");
        conversion.include.push_back("^" + pattern + "$");
        conversion.rules.push_back({"^" + pattern + "$", packed.weight->format()});
        conversion.ready[layer.name] = packed.weight;
      }
  if (!conversion.ready.empty())
    report = planConversion(script, conversion);
  converted.reset();
}

torch::jit::Module ScriptModel::toScript() {
  if (!converted) {
    for (Layer &layer : packed)
      layer.holder.setattr("weight", layer.weight.detach());
    torch::jit::Module module = script;
    if (!report.layers.empty())
      convert(module, conversion);
    converted = std::move(module);
  }
  return *converted;
}

at::Tensor ScriptModel::forwardPacked(const at::Tensor &x) { return toScript().forward({x}).toTensor(); }

std::vector<TrainLayerInfo> ScriptModel::layers() const {
  std::vector<TrainLayerInfo> infos;
  for (const LayerReport &layer : report.layers)
    infos.push_back({layer.name, layer.shape,
                     fmt::format("{}, {} weights from floats, float activations", layer.op, layer.format.str()),
                     layer.floatBytes, layer.bytes});
  return infos;
}

int64_t ScriptModel::keptBytes() const {
  int64_t bytes = 0;
  for (const at::Tensor &tensor : parameters())
    bytes += static_cast<int64_t>(tensor.nbytes());
  for (const at::Tensor &tensor : buffers())
    bytes += static_cast<int64_t>(tensor.nbytes());
  for (const LayerReport &layer : report.layers)
    bytes -= layer.floatBytes;
  return bytes;
}

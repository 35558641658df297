// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Network.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <charconv>

using namespace bq;
using namespace bq::cli;

namespace {

Expected<std::vector<int64_t>> parseSizes(const std::string &model, size_t begin) {
  std::vector<int64_t> sizes;
  const char *next = model.data() + begin, *end = model.data() + model.size();
  while (true) {
    int64_t size = 0;
    const auto [rest, error] = std::from_chars(next, end, size);
    if (error != std::errc() || size < 1 || size > 65536 || (rest != end && *rest != ','))
      return invalidArgument(fmt::format("--model {}: expected sizes from 1 to 65536 with commas between them, such as "
                                         "{}64,32",
                                         model, model.substr(0, begin)));
    sizes.push_back(size);
    if (rest == end)
      return sizes;
    next = rest + 1;
  }
}

} // namespace

Expected<std::optional<NetworkSpec>> NetworkSpec::parse(const TrainOptions &options) {
  NetworkSpec spec;
  const size_t colon = std::min(options.model.find(':'), options.model.size());
  const std::string name = options.model.substr(0, colon);
  if (name != "mlp" && name != "conv")
    return std::optional<NetworkSpec>();
  spec.convolutional = name == "conv";
  spec.hidden = spec.convolutional ? std::vector<int64_t>{16, 32, 64} : std::vector<int64_t>{256, 128};
  if (colon < options.model.size()) {
    Expected<std::vector<int64_t>> sizes = parseSizes(options.model, colon + 1);
    if (!sizes)
      return sizes.error();
    spec.hidden = std::move(*sizes);
  }
  // Only DiodeMix steps on packed weights.
  const bool packed = options.optimizer == "diodemix";
  if (options.layer == "binary") {
    spec.inner = {options.layer, 1, 1, packed};
    spec.edge = {"nbit", 8, 8, packed};
  } else if (options.layer == "nbit") {
    spec.inner =
        spec.edge = {options.layer, options.weightBits, options.activationBits, packed && options.weightBits > 1};
  } else if (options.layer == "mpq") {
    if (spec.convolutional)
      return invalidArgument(
          fmt::format("--model {}: there are no convolutions of --layer mpq, expected --model mlp", options.model));
    spec.inner = spec.edge = {options.layer, options.weightBits, 16, packed};
  }
  return std::optional<NetworkSpec>(std::move(spec));
}

Network::Network(const NetworkSpec &spec, const DataSet &train) : convolutional(spec.convolutional) {
  const Normalization normalization = normalizationOf(train.x);
  mean = register_buffer("mean", normalization.mean);
  stddev = register_buffer("stddev", normalization.stddev);
  int64_t in = convolutional ? train.x.size(1) : train.x.numel() / train.x.size(0);
  int64_t height = convolutional ? train.x.size(2) : 1, width = convolutional ? train.x.size(3) : 1;
  for (size_t index = 0; index < spec.hidden.size(); ++index) {
    LayerShape shape{in, spec.hidden[index]};
    if (convolutional) {
      shape.kernel = 3;
      shape.stride = index ? 2 : 1;
      height = (height - 1) / shape.stride + 1;
      width = (width - 1) / shape.stride + 1;
    }
    const LayerKind &next = index + 1 < spec.hidden.size() ? spec.inner : spec.edge;
    addBlock(index ? spec.inner : spec.edge, shape, next.activationBits != 1);
    in = spec.hidden[index];
  }
  const auto classes = static_cast<int64_t>(train.classes.size());
  last =
      register_module(fmt::format("layer{}", blocks.size()), makeTrainLayer(spec.edge, {in * height * width, classes}));
  bias = register_parameter("bias", at::zeros({classes}));
}

void Network::addBlock(const LayerKind &kind, const LayerShape &shape, bool relu) {
  Block block;
  block.layer = register_module(fmt::format("layer{}", blocks.size()), makeTrainLayer(kind, shape));
  const std::string norm = fmt::format("norm{}", blocks.size());
  if (shape.kernel)
    block.norm2d = register_module(norm, torch::nn::BatchNorm2d(shape.out));
  else
    block.norm = register_module(norm, torch::nn::BatchNorm1d(shape.out));
  block.relu = relu;
  blocks.push_back(std::move(block));
}

template <typename Apply>
at::Tensor Network::run(const at::Tensor &x, const Apply &apply) {
  at::Tensor y = (x - mean) / stddev;
  if (!convolutional)
    y = y.flatten(1);
  for (Block &block : blocks) {
    y = apply(*block.layer, y);
    y = block.norm ? block.norm(y) : block.norm2d(y);
    if (block.relu)
      y = y.relu();
  }
  return apply(*last, y.flatten(1)) + bias;
}

at::Tensor Network::forward(const at::Tensor &x) {
  return run(x, [](TrainLayer &layer, const at::Tensor &y) { return layer.forward(y); });
}

at::Tensor Network::forwardPacked(const at::Tensor &x) {
  return run(x, [](TrainLayer &layer, const at::Tensor &y) { return layer.forwardPacked(y); });
}

void Network::usePacked(const std::vector<PackedParameter> &packed) {
  for (const PackedParameter &parameter : packed) {
    for (Block &block : blocks)
      block.layer->usePacked(parameter);
    last->usePacked(parameter);
  }
}

std::vector<TrainLayerInfo> Network::layers() const {
  std::vector<TrainLayerInfo> infos;
  const auto add = [&](const TrainLayer &layer) {
    TrainLayerInfo info;
    info.name = fmt::format("layer{}", infos.size());
    info.shape = {layer.shape.out, layer.shape.in};
    if (layer.shape.kernel)
      info.shape.insert(info.shape.end(), {layer.shape.kernel, layer.shape.kernel});
    info.kind = layer.kind.str();
    info.floatBytes = 4;
    for (const int64_t size : info.shape)
      info.floatBytes *= size;
    info.packedBytes = layer.packedBytes();
    infos.push_back(std::move(info));
  };
  for (const Block &block : blocks)
    add(*block.layer);
  add(*last);
  return infos;
}

int64_t Network::keptBytes() const {
  int64_t bytes = static_cast<int64_t>(bias.nbytes() + mean.nbytes() + stddev.nbytes());
  for (const Block &block : blocks) {
    const torch::nn::Module &norm = block.norm ? static_cast<const torch::nn::Module &>(*block.norm) : *block.norm2d;
    for (const at::Tensor &tensor : norm.parameters())
      bytes += static_cast<int64_t>(tensor.nbytes());
    for (const at::Tensor &tensor : norm.buffers())
      bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
}

namespace {

/// Gives `module` the tensors of a normalization, and returns the expression of what it makes of x in evaluation mode.
template <typename Norm>
std::string addNormToScript(torch::jit::Module &module, const std::string &name, const Norm &norm) {
  module.register_parameter(name + "_weight", norm.weight.detach(), /*is_buffer=*/false);
  module.register_parameter(name + "_bias", norm.bias.detach(), /*is_buffer=*/false);
  module.register_buffer(name + "_mean", norm.running_mean);
  module.register_buffer(name + "_var", norm.running_var);
  return fmt::format("torch.batch_norm(x, self.{0}_weight, self.{0}_bias, self.{0}_mean, self.{0}_var, False, 0., {1}, "
                     "False)",
                     name, norm.options.eps());
}

} // namespace

torch::jit::Module Network::toScript() {
  eval();
  torch::jit::Module module("__torch__.Network");
  module.register_attribute("training", c10::BoolType::get(), false);
  module.register_buffer("mean", mean);
  module.register_buffer("stddev", stddev);
  module.register_parameter("bias", bias.detach(), /*is_buffer=*/false);
  std::string source = "def forward(self, x):\n  x = (x - self.mean) / self.stddev\n";
  const auto add = [&](const std::string &expression) { source += "  x = " + expression + "\n"; };
  if (!convolutional)
    add("torch.flatten(x, 1)");
  for (size_t index = 0; index < blocks.size(); ++index) {
    Block &block = blocks[index];
    add(block.layer->addToScript(module, fmt::format("layer{}", index)));
    const std::string norm = fmt::format("norm{}", index);
    add(block.norm ? addNormToScript(module, norm, *block.norm) : addNormToScript(module, norm, *block.norm2d));
    if (block.relu)
      add("torch.relu(x)");
  }
  if (convolutional)
    add("torch.flatten(x, 1)");
  add(last->addToScript(module, fmt::format("layer{}", blocks.size())) + " + self.bias");
  module.define(source + "  return x\n");
  return module;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/TrainLayer.h"

#include "dialect/core/Format.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"

#include <fmt/format.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

using namespace bq;
using namespace bq::cli;

namespace {

/// As LibTorch has it.
class FloatLayer : public TrainLayer {
public:
  explicit FloatLayer(const LayerShape &shape) {
    if (shape.kernel)
      conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                                                           .stride(shape.stride)
                                                           .padding(shape.kernel / 2)
                                                           .bias(false)));
    else
      linear = register_module("linear", torch::nn::Linear(torch::nn::LinearOptions(shape.in, shape.out).bias(false)));
  }

  at::Tensor forward(const at::Tensor &x) override { return conv ? conv(x) : linear(x); }
  at::Tensor forwardPacked(const at::Tensor &x) override {
    if (!packed)
      return forward(x);
    return conv ? packed->conv2d(x, std::nullopt, shape.stride, shape.kernel / 2) : packed->linear(x, std::nullopt);
  }
  int64_t packedBytes() const override { return packed ? packed->bytes() : shape.weightCount() * 4; }
  void usePacked(const PackedParameter &given) override {
    if (given.parameter.is_same(conv ? conv->weight : linear->weight))
      packed = given.weight;
  }
  std::string addToScript(torch::jit::Module &module, const std::string &name) override {
    if (packed) {
      module.register_attribute(name + "_weight", c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>(), packed);
      return conv ? fmt::format("self.{0}_weight.conv2d(x, None, [{1}, {1}], [{2}, {2}])", name, shape.stride,
                                shape.kernel / 2)
                  : fmt::format("self.{}_weight.linear(x, None)", name);
    }
    module.register_parameter(name + "_weight", (conv ? conv->weight : linear->weight).detach(), /*is_buffer=*/false);
    if (!conv)
      return fmt::format("torch.linear(x, self.{}_weight)", name);
    return fmt::format("torch.conv2d(x, self.{0}_weight, None, [{1}, {1}], [{2}, {2}])", name, shape.stride,
                       shape.kernel / 2);
  }

private:
  torch::nn::Conv2d conv = nullptr;
  torch::nn::Linear linear = nullptr;
  c10::intrusive_ptr<PackedWeight> packed; ///< In the place of the weight; null: none.
};

/// A layer of bq::nn, whose evaluation has both paths.
template <typename Layer>
class PackedTrainLayer : public TrainLayer {
public:
  explicit PackedTrainLayer(Layer made) : layer(register_module("layer", std::move(made))) {}

  at::Tensor forward(const at::Tensor &x) override {
    layer->packedEvaluation = false;
    return layer->forward(x);
  }
  at::Tensor forwardPacked(const at::Tensor &x) override {
    layer->packedEvaluation = true;
    return layer->forward(x);
  }

protected:
  Layer layer;
};

/// A scale for the whole weight and one for the activations, which have few bits too.
template <typename Layer>
class NBitTrainLayer : public PackedTrainLayer<Layer> {
public:
  using PackedTrainLayer<Layer>::PackedTrainLayer;

  int64_t packedBytes() const override {
    const int64_t k = shape.weightCount() / shape.out;
    // A scale for each row, and for the activations a bias and a scale.
    return shape.out * (k * kind.weightBits + 7) / 8 + 4 * (shape.out + shape.in + 1);
  }

  std::string addToScript(torch::jit::Module &module, const std::string &name) override {
    module.register_attribute(name + "_weight", c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>(),
                              packedWeight());
    const at::Tensor bias = layer->biasA.detach();
    module.register_buffer(name + "_bias", shape.kernel ? bias.view({-1, 1, 1}) : bias);
    const std::string x = fmt::format("(x + self.{}_bias)", name);
    const std::string steps = shape.kernel ? fmt::format(", [{}, {}], [{}, {}]", shape.stride, shape.stride,
                                                         shape.kernel / 2, shape.kernel / 2)
                                           : "";
    const char *method = shape.kernel ? "conv2d" : "linear";
    if (kind.activationBits == 16)
      return fmt::format("self.{}_weight.{}({}, None{})", name, method, x, steps);
    module.register_buffer(name + "_scale", layer->activationScale());
    // Padding of signs counts as -1, else as 0.
    return fmt::format("self.{0}_weight.{1}_static({2}, self.{0}_scale, {3}, None{4}{5})", name, method, x,
                       kind.activationBits, steps, shape.kernel && kind.activationBits == 1 ? ", pad_code=-1" : "");
  }

private:
  using PackedTrainLayer<Layer>::layer;
  using TrainLayer::kind;
  using TrainLayer::shape;

  /// The weight of the evaluation path. Signs are codes 0 and 1 of uint1 around a zero point of 1/2.
  c10::intrusive_ptr<PackedWeight> packedWeight() {
    const bool signs = kind.weightBits == 1;
    std::vector<int64_t> sizes{shape.out, shape.in};
    if (shape.kernel)
      sizes.insert(sizes.end(), {shape.kernel, shape.kernel});
    const at::Tensor &own = layer->scales.defined() ? layer->scales : layer->scaleW;
    const at::Tensor scales = own.detach().to(at::kFloat).reshape({-1, 1}).expand({shape.out, 1});
    return c10::make_intrusive<PackedWeight>(layer->optWeight().clone(), signs ? scales * 2 : scales.contiguous(),
                                             signs ? std::optional(at::full({shape.out, 1}, 0.5)) : std::nullopt,
                                             *Format::parse(signs ? "uint1" : fmt::format("int{}", kind.weightBits)),
                                             sizes);
  }
};

/// A weight in groups of columns, whose packed codes train; activations are floats.
class MpqTrainLayer : public PackedTrainLayer<nn::MPQLinear> {
public:
  static constexpr int64_t groupSize = 32;

  MpqTrainLayer(const LayerKind &kind, const LayerShape &shape)
      : PackedTrainLayer(nn::MPQLinear(nn::MPQLinearOptions(shape.in, shape.out)
                                           .w_bits(kind.weightBits)
                                           .group_size(std::min(groupSize, shape.in)))) {}

  int64_t packedBytes() const override {
    return static_cast<int64_t>(layer->weight.nbytes() + layer->scales.nbytes() + layer->zeros.nbytes());
  }
  std::string addToScript(torch::jit::Module &module, const std::string &name) override {
    module.register_attribute(
        name + "_weight", c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>(),
        c10::make_intrusive<PackedWeight>(
            layer->weight.clone(), layer->scales, layer->zeros,
            *Format::parse(fmt::format("uint{}:g{}", kind.weightBits, layer->options.group_size())),
            std::vector<int64_t>{shape.out, shape.in}));
    return fmt::format("self.{}_weight.linear(x)", name);
  }
};

template <typename Layer>
std::shared_ptr<TrainLayer> wrap(Layer layer) {
  return std::make_shared<NBitTrainLayer<Layer>>(std::move(layer));
}

std::shared_ptr<TrainLayer> makeBinary(const LayerShape &shape) {
  if (!shape.kernel)
    return wrap(nn::BinaryLinear(nn::BinaryLinearOptions(shape.in, shape.out)));
  return wrap(nn::BinaryConv2d(
      nn::BinaryConv2dOptions(shape.in, shape.out, shape.kernel).stride(shape.stride).padding(shape.kernel / 2)));
}

std::shared_ptr<TrainLayer> makeNBit(const LayerKind &kind, const LayerShape &shape) {
  if (!shape.kernel)
    return wrap(nn::NBitLinear(nn::NBitLinearOptions(shape.in, shape.out)
                                   .a_bits(kind.activationBits)
                                   .w_bits(kind.weightBits)
                                   .packed_weight(kind.packedWeight)));
  return wrap(nn::NBitConv2d(nn::NBitConv2dOptions(shape.in, shape.out, shape.kernel)
                                 .stride(shape.stride)
                                 .padding(shape.kernel / 2)
                                 .a_bits(kind.activationBits)
                                 .w_bits(kind.weightBits)
                                 .packed_weight(kind.packedWeight)));
}

} // namespace

std::string LayerKind::str() const {
  if (name == "float")
    return name;
  if (name == "mpq")
    return fmt::format("mpq, {}-bit weights packed in groups of {}, float activations", weightBits,
                       MpqTrainLayer::groupSize);
  return fmt::format("{}, {}-bit weights {}, {}-bit activations", name, weightBits,
                     packedWeight ? "packed" : "from floats", activationBits);
}

void TrainLayer::usePacked(const PackedParameter &) {}

std::shared_ptr<TrainLayer> cli::makeTrainLayer(const LayerKind &kind, const LayerShape &shape) {
  std::shared_ptr<TrainLayer> layer;
  if (kind.name == "float")
    layer = std::make_shared<FloatLayer>(shape);
  else if (kind.name == "binary" && kind.packedWeight)
    layer = makeBinary(shape);
  else if (kind.name == "mpq")
    layer = std::make_shared<MpqTrainLayer>(kind, shape);
  else
    layer = makeNBit(kind, shape);
  layer->shape = shape;
  layer->kind = kind;
  return layer;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Layers of bitorch-engine: forward, and gradients as upstream has them and as they should be.
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/GptqCase.h"

using namespace bq;
using namespace bq::golden;

namespace {

/// One number for both lines and columns, or a pair.
torch::ExpandingArray<2> pair(const Case &given, const char *param, int64_t otherwise) {
  if (given.has(param) && given.params[param].is_array()) {
    const std::vector<double> both = given.numbers(param);
    TORCH_CHECK(both.size() == 2, "parameter '", param, "' has ", both.size(), " numbers, expected 2");
    return torch::ExpandingArray<2>({static_cast<int64_t>(both[0]), static_cast<int64_t>(both[1])});
  }
  return torch::ExpandingArray<2>(given.integer(param, otherwise));
}

/// Sizes as the weight has them; the rest from the case.
template <typename Options>
Options convOptions(const Case &given, const at::Tensor &weight) {
  TORCH_CHECK(weight.dim() == 4, "the weight of a convolution has ", weight.dim(), " dimensions, expected 4");
  const int64_t groups = given.integer("groups", 1);
  return Options(weight.size(1) * groups, weight.size(0), torch::ExpandingArray<2>({weight.size(2), weight.size(3)}))
      .groups(groups)
      .stride(pair(given, "stride", 1))
      .padding(pair(given, "padding", 0))
      .dilation(pair(given, "dilation", 1));
}

template <typename Options>
Options linearOptions(const Case &, const at::Tensor &weight) {
  TORCH_CHECK(weight.dim() == 2, "the weight of a linear layer has ", weight.dim(), " dimensions, expected 2");
  return Options(weight.size(1), weight.size(0));
}

/// What a layer with a float weight gives for a case.
struct LayerRun {
  at::Tensor y, scaleA, scaleW, gradX, gradWeight, gradScaleA, gradBiasA;
};

/// `scaleA` is the scale of the activations; 0 lets the layer choose it. `packed` says whether the layer's own weight
/// holds codes, whose gradient is in the parameter's slot.
template <typename Layer>
LayerRun runLayer(Layer &layer, const Case &given, const at::Tensor &weight, double scaleA) {
  layer->setWeightData(weight);
  {
    at::NoGradGuard noGrad;
    layer->scaleA.fill_(scaleA);
    if (at::Tensor bias = given.optionalInput("bias_a"); bias.defined())
      layer->biasA.copy_(bias);
  }
  layer->prepareParams();
  layer->train();
  at::Tensor x = given.input("x").requires_grad_(true);
  LayerRun run;
  run.y = layer->forward(x);
  run.scaleA = layer->scaleA.detach().clone();
  run.scaleW = layer->scaleW.clone();
  if (at::Tensor gradient = given.optionalInput("grad_out"); gradient.defined()) {
    run.y.backward(gradient);
    run.gradX = x.grad();
    run.gradWeight = layer->weight.grad();
    run.gradScaleA = layer->scaleA.grad();
    run.gradBiasA = layer->biasA.grad();
  }
  return run;
}

/// An op for a layer with `bits` bits for activations and weight. Values of upstream come from a layer that imitates
/// it, the plain straight-through and LSQ gradients from one as it is by default with the same scale of activations.
template <typename Layer, typename Options>
Op nbitLayer(int64_t bits, Options (*makeOptions)(const Case &, const at::Tensor &)) {
  return [bits, makeOptions](const Case &given) {
    at::Tensor weight = given.input("weight");
    auto run = [&](bool isUpstream, double scaleA) {
      Layer layer(makeOptions(given, weight)
                      .a_bits(bits)
                      .w_bits(bits)
                      .eps(given.number("eps", 1e-5))
                      .upstream_compatible(isUpstream));
      return runLayer(layer, given, weight, scaleA);
    };
    const LayerRun upstream = run(true, given.number("scale_a_preset", 0));
    const LayerRun plain = run(false, upstream.scaleA.item<double>());
    Results results;
    results.tensors = {{"y", upstream.y},
                       {"scale_a", upstream.scaleA},
                       {"scale_w", upstream.scaleW},
                       {"grad_x", plain.gradX},
                       {"grad_x_upstream", upstream.gradX},
                       {"grad_x_ste", plain.gradX},
                       {"grad_weight", upstream.gradWeight},
                       {"grad_scale_a_upstream", upstream.gradScaleA},
                       {"grad_scale_a_upstream_formula", upstream.gradScaleA},
                       {"grad_scale_a_lsq", plain.gradScaleA},
                       {"grad_bias_a_upstream", upstream.gradBiasA},
                       {"grad_bias_a_ste", plain.gradBiasA}};
    return results;
  };
}

template <typename Layer, typename Options>
Op binaryLayer(Options (*makeOptions)(const Case &, const at::Tensor &)) {
  return [makeOptions](const Case &given) {
    at::Tensor weight = given.input("weight_fp");
    Layer layer(makeOptions(given, weight).symmetric(given.flag("symmetric", true)).upstream_compatible(true));
    const LayerRun run = runLayer(layer, given, weight, given.number("scale_a_preset", 0));
    Results results;
    results.tensors = {{"weight_int8", layer->weight},  {"scale_w", run.scaleW},
                       {"scale_a", run.scaleA},         {"y", run.y},
                       {"grad_x", run.gradX},           {"grad_weight_int8_values", run.gradWeight},
                       {"grad_scale_a", run.gradScaleA}};
    return results;
  };
}

Results mpqLinear(const Case &given) {
  const GptqWeight weight = gptqWeight(given);
  at::Tensor bias = given.optionalInput("bias"), x = given.input("x").requires_grad_(true);
  nn::MPQLinear layer(nn::MPQLinearOptions(weight.inFeatures, weight.outFeatures())
                          .w_bits(weight.bits)
                          .group_size(given.integer("group_size", -1))
                          .asym(given.flag("asym", false))
                          .bias(bias.defined())
                          .dtype(weight.scales.scalar_type())
                          .upstream_compatible(true));
  layer->setGptqWeight(weight);
  if (bias.defined()) {
    at::NoGradGuard noGrad;
    layer->bias.copy_(bias);
  }
  Results results;
  results.tensors["y"] = layer->forward(x);
  if (at::Tensor gradient = given.optionalInput("grad_out"); gradient.defined()) {
    results.tensors["y"].backward(gradient);
    results.tensors["grad_x"] = x.grad();
    results.tensors["privileged_grad"] = layer->weight.grad();
    if (bias.defined())
      results.tensors["grad_bias"] = layer->bias.grad();
  }
  return results;
}

} // namespace

void golden::addLayerOps(OpTable &table) {
  auto &ops = table["bitorch-engine"];
  ops["Q8Linear"] = {nbitLayer<nn::NBitLinear>(8, linearOptions<nn::NBitLinearOptions>), {}};
  ops["Q4Linear"] = {nbitLayer<nn::NBitLinear>(4, linearOptions<nn::NBitLinearOptions>), {}};
  ops["Q4Conv2d"] = {nbitLayer<nn::NBitConv2d>(4, convOptions<nn::NBitConv2dOptions>), {"y_upstream_memory_layout"}};
  ops["BinaryLinear"] = {binaryLayer<nn::BinaryLinear>(linearOptions<nn::BinaryLinearOptions>), {}};
  ops["BinaryConv2d"] = {binaryLayer<nn::BinaryConv2d>(convOptions<nn::BinaryConv2dOptions>), {}};
  ops["MPQLinear"] = {mpqLinear, {}};
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Layer.h"

#include <torch/nn/module.h>

using namespace bq::nn;

NBitLayer::~NBitLayer() = default;

/// Module::modules() needs a shared_ptr of the root, which a module on the stack has not.
template <typename Function>
static void forEachLayer(torch::nn::Module &model, const Function &function) {
  if (auto *layer = dynamic_cast<NBitLayer *>(&model))
    function(*layer);
  for (const auto &child : model.children())
    forEachLayer(*child, function);
}

void bq::nn::prepareLayers(torch::nn::Module &model) {
  forEachLayer(model, [](NBitLayer &layer) { layer.prepareParams(); });
}

void bq::nn::packLayers(torch::nn::Module &model, bool qweightOnly) {
  forEachLayer(model, [&](NBitLayer &layer) { layer.generateQuantizedWeight(qweightOnly); });
}

void bq::nn::setPackedEvaluation(torch::nn::Module &model, bool packed) {
  forEachLayer(model, [&](NBitLayer &layer) { layer.packedEvaluation = packed; });
}

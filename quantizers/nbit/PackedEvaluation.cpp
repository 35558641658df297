// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/PackedEvaluation.h"

#include "quantizers/StaticActivations.h"

using namespace bq;
using namespace bq::nn;

/// The sums times the scale of activations.
static at::Tensor scaledSums(const at::Tensor &x, const c10::intrusive_ptr<PackedWeight> &weight,
                             const at::Tensor &activationScale, const NBitSettings &settings) {
  const IntegerRule &rule = settings.product.activations;
  const std::optional<ConvShape> &conv = settings.product.conv;
  if (rule.keepsFloat())
    return conv ? weight->conv2d(x, std::nullopt, conv->stride, conv->padding, conv->dilation, conv->groups)
                : weight->linear(x, std::nullopt);
  StaticActivations activations;
  activations.scale = activationScale;
  activations.bits = rule.bits;
  activations.padCode = rule.bits == 1 ? -1 : 0;
  if (!conv)
    return linear(*weight, x, std::nullopt, activations);
  return conv2d(*weight, x, std::nullopt, {conv->stride, conv->padding, conv->dilation, conv->groups}, activations);
}

at::Tensor bq::nn::evaluatePacked(const at::Tensor &x, const c10::intrusive_ptr<PackedWeight> &weight,
                                  const at::Tensor &weightScale, const at::Tensor &activationScale,
                                  const NBitSettings &settings) {
  at::Tensor scale = weightScale;
  if (scale.dim())
    scale = settings.product.conv ? scale.view({1, -1, 1, 1}) : scale.view(-1);
  return scaledSums(x, weight, activationScale, settings) * scale;
}

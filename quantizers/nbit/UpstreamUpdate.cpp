// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/UpstreamUpdate.h"

#include "quantizers/nbit/TensorQuant.h"
#include "quantizers/optim/GaLoreProjector.h"

#include <cmath>

using namespace bq;
using namespace bq::nn;
using upstream::StepOptions;

double upstream::stepSize(const StepOptions &options, double step) {
  if (!options.correctBias)
    return options.lr;
  return options.lr * std::sqrt(1 - std::pow(options.beta2, step)) / (1 - std::pow(options.beta1, step));
}

at::Tensor upstream::direction(const at::Tensor &grad, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                               const StepOptions &options) {
  expAvgL.mul_(options.beta1).add_(grad, 1 - options.beta1);
  expAvgS.mul_(options.beta2).addcmul_(grad, grad, 1 - options.beta2);
  at::Tensor direction = expAvgL / (expAvgS.sqrt() + options.eps);
  return options.projector ? options.projector->projectBack(direction) : direction;
}

void upstream::updateNBit(const at::Tensor &qweight, const at::Tensor &grad, const at::Tensor &expAvgS,
                          const at::Tensor &expAvgL, double step, const StepOptions &options) {
  at::Tensor weight = qweight.to(options.dtype);
  at::Tensor moved = direction(grad.to(options.dtype), expAvgS, expAvgL, options).view(weight.sizes());
  weight -= stepSize(options, step) * moved;
  if (options.weightDecay > 0)
    weight -= options.lr * options.weightDecay * weight;
  TensorQuantOptions quant;
  quant.upstreamCompatible = true;
  qweight.copy_(tensorQuant(weight, std::nullopt, quant).first);
}

void upstream::updateBinary(const at::Tensor &qweight, const at::Tensor &grad, const at::Tensor &expAvgS,
                            const at::Tensor &expAvgL, const StepOptions &options) {
  expAvgL.lerp_(grad.to(expAvgL.scalar_type()), 1 - options.beta1);
  expAvgS.lerp_(options.lr * expAvgL.sign(), 1 - options.beta2);
  at::Tensor positive = expAvgS <= 0;
  at::Tensor flip = (positive & (qweight < 0)) | (~positive & (qweight > 0));
  qweight.copy_(at::where(flip, -qweight, qweight));
}

/// Means over the rows of each group of `rows` [K, N] as [G, N]; `groupIndex` [K] is int64.
static at::Tensor groupMeans(const at::Tensor &rows, const at::Tensor &groupIndex, int64_t groups) {
  at::Tensor sums = at::zeros({groups, rows.size(1)}, rows.options()).index_add_(0, groupIndex, rows);
  at::Tensor counts = at::zeros({groups}, rows.options()).index_add_(0, groupIndex, at::ones_like(rows.select(1, 0)));
  return sums / counts.clamp_min(1).unsqueeze(1);
}

void upstream::updateMpq(const GptqWeight &weight, const at::Tensor &grad, const at::Tensor &expAvgS,
                         const at::Tensor &expAvgL, double step, const StepOptions &options) {
  at::Tensor matrix = unpackGptq(weight);
  at::Tensor moved = stepSize(options, step) *
                     direction(grad.to(expAvgL.scalar_type()), expAvgS, expAvgL, options).to(matrix.scalar_type());
  matrix -= moved;
  GptqWeight like = weight;
  if (static_cast<int64_t>(step) % 5 == 0) {
    at::Tensor groupIndex = gptqGroupIndex(weight).to(at::kLong);
    const int64_t groups = weight.scales.size(0);
    if (weight.zeroConvention == ZeroConvention::Scaled) {
      weight.zeros.add_(groupMeans(moved, groupIndex, groups));
    } else {
      like.zeros = weight.zeros.clone();
      at::Tensor zeros = groupMeans(gptqZeros(weight).index_select(0, groupIndex) + moved, groupIndex, groups);
      weight.zeros.copy_(packGptqZeros(zeros, weight.bits, weight.zeroConvention, true));
    }
  }
  weight.words.copy_(packGptq(matrix, like, true));
}

void upstream::updateFloat(const at::Tensor &weight, const at::Tensor &grad, const at::Tensor &expAvgS,
                           const at::Tensor &expAvgL, double step, const StepOptions &options) {
  at::Tensor moved = direction(grad.to(expAvgL.scalar_type()), expAvgS, expAvgL, options);
  weight.sub_(stepSize(options, step) * moved.view(weight.sizes()));
  if (options.weightDecay > 0)
    weight.sub_(options.lr * options.weightDecay * weight);
}

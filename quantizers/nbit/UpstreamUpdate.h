// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The optimizer steps of bitorch-engine 0.2.6 on quantized parameters, composed of LibTorch's operators: the numbers
/// of that package, with its flaws.
#ifndef BQ_QUANTIZERS_NBIT_UPSTREAMUPDATE_H
#define BQ_QUANTIZERS_NBIT_UPSTREAMUPDATE_H

#include "quantizers/nbit/Gptq.h"

#include <ATen/ATen.h>

namespace bq::optim {
class GaLoreProjector;
}

namespace bq::nn::upstream {

/// What a step takes besides weight, gradient and moments.
struct StepOptions {
  double lr, weightDecay, beta1, beta2, eps;
  at::ScalarType dtype; ///< What weight and gradient are cast to.
  bool correctBias;
  const optim::GaLoreProjector *projector; ///< Null, or what maps moments back to the shape of the weight.
};

/// The size of the step numbered `step`: lr sqrt(1 - beta2^step) / (1 - beta1^step), or lr.
double stepSize(const StepOptions &options, double step);
/// Moves the moments by `grad` (Adam's) and returns m / (sqrt(v) + eps), projected back.
at::Tensor direction(const at::Tensor &grad, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                     const StepOptions &options);

/// `qweight`, int8, gets the integers 127 w / max(w), clamped, of the new w: by the signed maximum, and without a
/// change of the layer's scale.
void updateNBit(const at::Tensor &qweight, const at::Tensor &grad, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                double step, const StepOptions &options);

/// `qweight`, int8: magnitudes stay, so that a zero stays zero.
void updateBinary(const at::Tensor &qweight, const at::Tensor &grad, const at::Tensor &expAvgS,
                  const at::Tensor &expAvgL, const StepOptions &options);

/// `grad` is [K, N], as the weight. In steps whose number is a multiple of 5 zero points move too, whole ones truncated
/// and wrapped; integers are packed with the zero points before that, scaled ones with those after it. Scales and decay
/// are not touched. `weight.words` and `weight.zeros` change in place.
void updateMpq(const GptqWeight &weight, const at::Tensor &grad, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
               double step, const StepOptions &options);

/// An ordinary parameter: Adam, with eps added before the correction, and decay by the weight after the step.
void updateFloat(const at::Tensor &weight, const at::Tensor &grad, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                 double step, const StepOptions &options);

} // namespace bq::nn::upstream

#endif // BQ_QUANTIZERS_NBIT_UPSTREAMUPDATE_H

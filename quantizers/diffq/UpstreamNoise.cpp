// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UpstreamNoise.h"

using namespace bq;

using at::Tensor;

Tensor diffq::addNoise(const Tensor &weight, const Tensor &bits, int64_t groupSize, NoiseKind kind,
                       const Tensor &random) {
  const Tensor source = weight.to(at::kFloat);
  const Tensor noise = kind == NoiseKind::Gaussian ? random.reshape_as(source) / 2 : random.reshape_as(source) - 0.5;
  const Tensor unit = (at::pow(2, bits) - 1).reciprocal();
  const Tensor range = source.max() - source.min();
  if (groupSize == 0)
    return (source + range * unit * noise).to(weight.scalar_type());
  const Tensor units = unit.repeat_interleave(groupSize).narrow(0, 0, source.numel()).view_as(source);
  return (source + range * units * noise).to(weight.scalar_type());
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/BitLogits.h"

#include <cmath>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

namespace {

double logNoise(double bits) { return -std::log(std::exp2(bits) - 1); }

} // namespace

double BitLogits::logitOf(double bits) const {
  const double t = byNoise ? (logNoise(bits) - logNoise(minBits)) / (logNoise(maxBits) - logNoise(minBits))
                           : (bits - minBits) / (maxBits - minBits);
  return std::log(t / (1 - t));
}

Tensor BitLogits::bits(const Tensor &logits) const {
  if (byNoise)
    return noiseScale(logits).reciprocal().add(1).log2();
  return logits.sigmoid() * (maxBits - minBits) + minBits;
}

Tensor BitLogits::noiseScale(const Tensor &logits) const {
  if (!byNoise)
    return (at::pow(2, bits(logits)) - 1).reciprocal();
  const Tensor t = logits.sigmoid();
  return (t * logNoise(maxBits) + (1 - t) * logNoise(minBits)).exp();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bq::diffq_noise and bq::quantize_mixed: what a host language needs to train bits with its own hooks. Both read their
// arguments' values, so that neither has a meta kernel.
#include "quantizers/DiffqNoise.h"
#include "quantizers/Mixed.h"
#include "quantizers/Tensors.h"

#include <torch/library.h>

#include <tuple>

using namespace bq;

using at::Tensor;

namespace {

Tensor noisyWeight(const Tensor &weight, const Tensor &bits, int64_t groupSize, c10::string_view noise, int64_t seed,
                   int64_t offset, int64_t rounds) {
  const Expected<NoiseKind> kind = parseNoiseKind(std::string_view(noise.data(), noise.size()));
  TORCH_CHECK(kind, "bq::diffq_noise: ", kind.error().message);
  return diffqNoise(weight, bits, groupSize, *kind, static_cast<uint64_t>(seed), static_cast<uint64_t>(offset), rounds);
}

std::tuple<Tensor, Tensor> mixedWeight(const Tensor &weight, const Tensor &bits, int64_t groupSize) {
  const MixedWeight mixed = quantizeMixed(weight, bits, groupSize);
  return {mixed.codes, mixed.scales};
}

} // namespace

TORCH_LIBRARY_FRAGMENT(bq, m) {
  m.def("diffq_noise(Tensor weight, Tensor bits, int group_size, str noise, int seed, int offset=0, int rounds=7) "
        "-> Tensor",
        noisyWeight);
  m.def("quantize_mixed(Tensor weight, Tensor bits, int group_size) -> (Tensor codes, Tensor scales)", mixedWeight);
}

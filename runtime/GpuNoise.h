// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The launches that DiffQ's noise, its gradient and the range of a weight are on a GPU, for every backend that has
/// kernels for one. launch(fn, rows, arguments...) launches the kernel of the spec of `args`, a function of the type of
/// `fn`.
#ifndef BQ_RUNTIME_GPUNOISE_H
#define BQ_RUNTIME_GPUNOISE_H

#include "dialect/core/CudaNoiseAbi.h"
#include "runtime/DiffqNoiseArgs.h"

namespace bq {

/// The words that noise comes of, as kernels take them: low and high of the seed, then of the offset.
inline int32_t noiseWord(const NoiseArgs &args, int word) {
  return static_cast<int32_t>((word < 2 ? args.seed : args.offset) >> (word % 2 * 32));
}

template <typename Launch>
Status launchDiffqNoise(const DiffqNoiseArgs &args, Launch launch) {
  return launch(cuda::DiffqNoiseFn(), args.chunks(), args.weight, args.bits, args.scale, noiseWord(args, 0),
                noiseWord(args, 1), noiseWord(args, 2), noiseWord(args, 3), args.noisy, args.count);
}

/// `heads`, `scaleParts`: as DiffqNoiseGradArgs::finish() takes them.
template <typename Launch>
Status launchDiffqNoiseGrad(const DiffqNoiseGradArgs &args, float *heads, float *scaleParts, Launch launch) {
  return launch(cuda::DiffqNoiseGradFn(), args.chunks(), args.gradient, args.bits, args.scale, noiseWord(args, 0),
                noiseWord(args, 1), noiseWord(args, 2), noiseWord(args, 3), args.bitsGradient, heads, scaleParts,
                args.count);
}

/// `lows`, `highs`: as WeightRangeArgs::finish() takes them.
template <typename Launch>
Status launchWeightRange(const WeightRangeArgs &args, float *lows, float *highs, Launch launch) {
  return launch(cuda::WeightRangeFn(), args.chunks(), args.weight, lows, highs, args.count);
}

} // namespace bq

#endif // BQ_RUNTIME_GPUNOISE_H

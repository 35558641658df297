// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise in double precision.
#ifndef BQ_RUNTIME_REFERENCE_REFERENCENOISE_H
#define BQ_RUNTIME_REFERENCE_REFERENCENOISE_H

#include "runtime/Backend.h"
#include "runtime/DiffqNoiseArgs.h"

namespace bq::reference {

/// The random number of an element: 32 bits (`bq.diffq_noise`).
uint32_t noiseWord(const NoiseArgs &args, int64_t element);
/// Its noise.
double noiseOf(const NoiseArgs &args, int64_t element);
/// 1 / (2^bits - 1) of a group.
double unitOf(const NoiseArgs &args, int64_t group);

/// Backend::diffqNoise, diffqNoiseGrad and weightRange on verified arguments.
Status runDiffqNoise(const DiffqNoiseArgs &args, ParallelFor parallel);
Status runDiffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor parallel);
Status runWeightRange(const WeightRangeArgs &args, ParallelFor parallel);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_REFERENCENOISE_H

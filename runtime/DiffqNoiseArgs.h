// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The arguments of Backend::diffqNoise, of its gradient, and of Backend::weightRange.
#ifndef BQ_RUNTIME_DIFFQNOISEARGS_H
#define BQ_RUNTIME_DIFFQNOISEARGS_H

#include "codegen/KernelSpec.h"
#include "dialect/core/Noise.h"
#include "dialect/core/Types.h"

#include <cstdint>
#include <vector>

namespace bq {

/// What noise a weight gets (`bq.diffq_noise`).
struct NoiseArgs {
  ElementType dataType = ElementType::F32; ///< Of the weight, or of the gradient.
  int64_t count = 0;                       ///< Elements of the weight.
  int64_t groupSize = 0;                   ///< Elements of a group, the last perhaps shorter; 0 = one group.
  const float *bits = nullptr;             ///< [groups()]
  float scale = 0;                         ///< max - min of the weight
  NoiseKind noise = NoiseKind::Gaussian;
  int rounds = 7; ///< 7 or 10
  uint64_t seed = 0, offset = 0;

  int64_t groups() const;
  /// Chunks of abi::noiseChunk elements, the tasks of the kernels.
  int64_t chunks() const;
  /// The kernel for `op`, DiffqNoise or DiffqNoiseGrad.
  KernelSpec spec(KernelSpec::Op op) const;
  /// Seed and offset as kernels take them: four words.
  std::vector<uint32_t> counter() const;
  /// Errors name field, value and rule; bits are read where the memory is the host's.
  Status verify() const;
};

struct DiffqNoiseArgs : NoiseArgs {
  const void *weight = nullptr; ///< [count]
  void *noisy = nullptr;        ///< [count]; may be the weight

  Status verify() const;
};

struct DiffqNoiseGradArgs : NoiseArgs {
  const void *gradient = nullptr;  ///< [count], with respect to the noisy weight
  float *bitsGradient = nullptr;   ///< [groups()]
  double *scaleGradient = nullptr; ///< One number.

  Status verify() const;
  /// What follows kernels: parts of groups that begin in an earlier chunk are added in the order of chunks, and those
  /// of the scale are summed. `heads`, `scaleParts`: [chunks()].
  void finish(const float *heads, const float *scaleParts) const;
};

/// The least and the greatest element of a weight.
struct WeightRangeArgs {
  ElementType dataType = ElementType::F32;
  int64_t count = 0;                           ///< At least 1.
  const void *weight = nullptr;                ///< [count]
  float *low = nullptr, *high = nullptr;       ///< One number each.
  int64_t *lowAt = nullptr, *highAt = nullptr; ///< Where the first such element is.

  /// Chunks of abi::noiseChunk elements, the tasks of the kernel.
  int64_t chunks() const;
  KernelSpec spec() const;
  Status verify() const;
  /// What follows kernels: the range of all from those of chunks, `lows` and `highs`. An error names the first element
  /// that is NaN or infinite; then nothing is written.
  Status finish(const float *lows, const float *highs) const;
  /// The error for a weight whose first element that is NaN or infinite is that.
  static Error notFinite(int64_t element);
};

} // namespace bq

#endif // BQ_RUNTIME_DIFFQNOISEARGS_H

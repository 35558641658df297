// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Noise of the size that rounding would cause (Défossez, Adi, Synnaeve 2021, "Differentiable model compression via
/// pseudo quantization noise"): its distributions.
#ifndef BQ_DIALECT_CORE_NOISE_H
#define BQ_DIALECT_CORE_NOISE_H

#include "dialect/core/Status.h"

#include <string_view>

namespace bq {

/// In steps of the quantizer.
enum class NoiseKind {
  Gaussian, ///< normal, standard deviation 1/2
  Uniform,  ///< from [-1/2, 1/2), whose variance is that of rounding
};

std::string_view str(NoiseKind kind); // "gaussian" "uniform"
/// Errors name the text and list what is accepted.
Expected<NoiseKind> parseNoiseKind(std::string_view text);

} // namespace bq

#endif // BQ_DIALECT_CORE_NOISE_H

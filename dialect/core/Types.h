// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Element types, and the choices a layer's description makes: how its sum is taken, what follows it, how it is
/// trained.
#ifndef BQ_DIALECT_CORE_TYPES_H
#define BQ_DIALECT_CORE_TYPES_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bq {

/// Element type of activations, scales and results.
enum class ElementType { F32, F16, BF16 };

/// How a weight's zero points are stored. Formats without zero points have None.
enum class ZeroPointType { None, U8, F32 };

/// How the sum of products is taken. Always the caller's choice, never changed silently.
enum class Compute {
  F32,  ///< activations as they are, f32 sum; or in fixed point, per row, of 30 bits, which rounds no more than that
  BF16, ///< activations rounded to bf16, bf16 products, f32 sum
  I16,  ///< activations in fixed point, per row, 15 bits as two 8-bit planes; exact integer sums inside a segment
  I8,   ///< activations in fixed point, per row, symmetric, 8 bits; exact integer sums inside a segment
};

/// What is applied to the sum, after the bias.
enum class Activation { None, Relu, Gelu, GeluTanh, Silu };

/// How an optimizer step moves a weight (`bq.update`).
enum class UpdateRule {
  Adam,         ///< by the first moment over the root of the second
  SignMomentum, ///< `sign` weights: the sign of a running mean of the first moment's sign
  Direction,    ///< by the gradient itself; no moments
};

/// How the moments of an optimizer are stored.
enum class MomentType {
  None,
  F32,
  F16,
  BF16,
  Block8, ///< 8 bits, with one f32 scale for each block of 256 elements of a row
};

/// How a step's result is put into a packed weight's codes.
enum class Rounding {
  Nearest,
  Residual,   ///< what the codes leave over is kept, in 8 bits a weight
  Stochastic, ///< up or down at random, so that the mean is the exact value
};

/// What an optimizer step does to the scales of a packed weight.
enum class ScaleUpdate {
  Keep,
  Group,  ///< each group gets that of its new weights
  Tensor, ///< all rows get that of the tensor's new weights
};

int64_t sizeOf(ElementType type);

std::string_view str(ElementType type);    // "f32" "f16" "bf16"
std::string_view str(ZeroPointType type);  // "none" "u8" "f32"
std::string_view str(Compute compute);     // "f32" "bf16" "i16" "i8"
std::string_view str(Activation kind);     // "none" "relu" "gelu" "gelu_tanh" "silu"
std::string_view str(UpdateRule rule);     // "adam" "sign_momentum" "direction"
std::string_view str(MomentType type);     // "none" "f32" "f16" "bf16" "block8"
std::string_view str(Rounding rounding);   // "nearest" "residual" "stochastic"
std::string_view str(ScaleUpdate scaling); // "keep" "group" "tensor"

/// Errors name the text and list what is accepted.
Expected<ElementType> parseElementType(std::string_view text);
Expected<ZeroPointType> parseZeroPointType(std::string_view text);
Expected<Compute> parseCompute(std::string_view text);
Expected<Activation> parseActivation(std::string_view text);
Expected<UpdateRule> parseUpdateRule(std::string_view text);
Expected<MomentType> parseMomentType(std::string_view text);
Expected<Rounding> parseRounding(std::string_view text);
Expected<ScaleUpdate> parseScaleUpdate(std::string_view text);

} // namespace bq

#endif // BQ_DIALECT_CORE_TYPES_H

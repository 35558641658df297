// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Types.h"

#include "dialect/core/Noise.h"

#include <iterator>

using namespace bq;

namespace {

constexpr std::string_view elementTypes[] = {"f32", "f16", "bf16"};
constexpr std::string_view zeroPointTypes[] = {"none", "u8", "f32"};
constexpr std::string_view computes[] = {"f32", "bf16", "i16", "i8"};
constexpr std::string_view activations[] = {"none", "relu", "gelu", "gelu_tanh", "silu"};
constexpr std::string_view updateRules[] = {"adam", "sign_momentum", "direction"};
constexpr std::string_view momentTypes[] = {"none", "f32", "f16", "bf16", "block8"};
constexpr std::string_view roundings[] = {"nearest", "residual", "stochastic"};
constexpr std::string_view scaleUpdates[] = {"keep", "group", "tensor"};
constexpr std::string_view noiseKinds[] = {"gaussian", "uniform"};

/// The enumerator of `text` in `names`, whose order is that of the enumeration.
template <typename Enum, size_t Size>
Expected<Enum> parseName(const char *what, std::string_view text, const std::string_view (&names)[Size]) {
  std::string accepted;
  for (size_t i = 0; i < Size; ++i) {
    if (names[i] == text)
      return static_cast<Enum>(i);
    accepted += (i ? ", " : "") + std::string(names[i]);
  }
  return invalidArgument(std::string(what) + " '" + std::string(text) + "' is not known: use one of " + accepted);
}

} // namespace

int64_t bq::sizeOf(ElementType type) { return type == ElementType::F32 ? 4 : 2; }

std::string_view bq::str(ElementType type) { return elementTypes[static_cast<int>(type)]; }
std::string_view bq::str(ZeroPointType type) { return zeroPointTypes[static_cast<int>(type)]; }
std::string_view bq::str(Compute compute) { return computes[static_cast<int>(compute)]; }
std::string_view bq::str(Activation kind) { return activations[static_cast<int>(kind)]; }
std::string_view bq::str(UpdateRule rule) { return updateRules[static_cast<int>(rule)]; }
std::string_view bq::str(MomentType type) { return momentTypes[static_cast<int>(type)]; }
std::string_view bq::str(Rounding rounding) { return roundings[static_cast<int>(rounding)]; }
std::string_view bq::str(ScaleUpdate scaling) { return scaleUpdates[static_cast<int>(scaling)]; }
std::string_view bq::str(NoiseKind kind) { return noiseKinds[static_cast<int>(kind)]; }

Expected<ElementType> bq::parseElementType(std::string_view text) {
  return parseName<ElementType>("element type", text, elementTypes);
}
Expected<ZeroPointType> bq::parseZeroPointType(std::string_view text) {
  return parseName<ZeroPointType>("zero point type", text, zeroPointTypes);
}
Expected<Compute> bq::parseCompute(std::string_view text) { return parseName<Compute>("compute", text, computes); }
Expected<Activation> bq::parseActivation(std::string_view text) {
  return parseName<Activation>("activation", text, activations);
}
Expected<UpdateRule> bq::parseUpdateRule(std::string_view text) {
  return parseName<UpdateRule>("update rule", text, updateRules);
}
Expected<MomentType> bq::parseMomentType(std::string_view text) {
  return parseName<MomentType>("moment type", text, momentTypes);
}
Expected<Rounding> bq::parseRounding(std::string_view text) { return parseName<Rounding>("rounding", text, roundings); }
Expected<ScaleUpdate> bq::parseScaleUpdate(std::string_view text) {
  return parseName<ScaleUpdate>("scale update", text, scaleUpdates);
}
Expected<NoiseKind> bq::parseNoiseKind(std::string_view text) {
  return parseName<NoiseKind>("noise kind", text, noiseKinds);
}

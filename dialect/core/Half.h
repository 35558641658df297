// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The 16-bit element types in plain C++: conversion bit for bit as the hardware's, and elements by type.
#ifndef BQ_DIALECT_CORE_HALF_H
#define BQ_DIALECT_CORE_HALF_H

#include "dialect/core/Types.h"

#include <cfloat>
#include <cstdint>
#include <cstring>

namespace bq {

namespace detail {
inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
} // namespace detail

/// The f16 nearest to `value`, ties to even; overflow gives infinity, NaN stays NaN (quiet, with its leading bits).
inline uint16_t floatToF16(float value) {
  const uint32_t bits = detail::bitsOf(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) // 65520, halfway from the greatest f16 to what would be the next
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) // below 2^-14: one unit of 0.5 + value is one unit of the result
    return static_cast<uint16_t>(sign | (detail::bitsOf(detail::floatOf(magnitude) + 0.5f) - 0x3f000000));
  return static_cast<uint16_t>(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

/// Exact; a signaling NaN becomes quiet.
inline float f16ToFloat(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0x1f)
    return detail::floatOf(sign | 0x7f800000 | (fraction ? 0x400000 | fraction << 13 : 0));
  if (exponent)
    return detail::floatOf(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

/// The bf16 nearest to `value`, ties to even; overflow gives infinity, NaN stays NaN (quiet, with its leading bits).
inline uint16_t floatToBF16(float value) {
  const uint32_t bits = detail::bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Exact.
inline float bf16ToFloat(uint16_t value) { return detail::floatOf(static_cast<uint32_t>(value) << 16); }

/// Element `index` of an array of `type`, which need not be aligned; exact.
inline float loadElement(ElementType type, const void *data, int64_t index) {
  if (type == ElementType::F32) {
    float value;
    std::memcpy(&value, static_cast<const char *>(data) + index * 4, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, static_cast<const char *>(data) + index * 2, 2);
  return type == ElementType::F16 ? f16ToFloat(bits) : bf16ToFloat(bits);
}

/// Writes `value`, rounded to nearest even, as element `index` of an array of `type`, which need not be aligned.
inline void storeElement(ElementType type, void *data, int64_t index, float value) {
  if (type == ElementType::F32) {
    std::memcpy(static_cast<char *>(data) + index * 4, &value, 4);
    return;
  }
  const uint16_t bits = type == ElementType::F16 ? floatToF16(value) : floatToBF16(value);
  std::memcpy(static_cast<char *>(data) + index * 2, &bits, 2);
}

/// `value` rounded to `type`.
inline float roundTo(ElementType type, float value) {
  switch (type) {
  case ElementType::F32:
    return value;
  case ElementType::F16:
    return f16ToFloat(floatToF16(value));
  case ElementType::BF16:
    return bf16ToFloat(floatToBF16(value));
  }
  return value;
}

/// The smallest positive normal number of `type`.
inline float minNormal(ElementType type) { return type == ElementType::F16 ? 0x1p-14f : FLT_MIN; }

/// The greatest finite number of `type`.
inline float maxFinite(ElementType type) {
  return type == ElementType::F16 ? 65504.0f : type == ElementType::BF16 ? 0x1.fep127f : FLT_MAX;
}

} // namespace bq

#endif // BQ_DIALECT_CORE_HALF_H

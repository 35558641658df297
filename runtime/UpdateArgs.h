// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a step of an optimizer works on: the arguments of Backend::update.
#ifndef BQ_RUNTIME_UPDATEARGS_H
#define BQ_RUNTIME_UPDATEARGS_H

#include "codegen/KernelSpec.h"
#include "dialect/core/Format.h"
#include "dialect/core/KernelAbi.h"
#include "dialect/core/Types.h"

#include <cstdint>
#include <optional>

namespace bq {

/// A canonical weight that a step writes; borrowed, contiguous memory.
struct PackedTarget {
  Format format;                            ///< int, uint, sign
  uint8_t *codes = nullptr;                 ///< [n, format.rowBytes(k)]
  void *scales = nullptr;                   ///< [n, groupCount(k)] of scaleType; not read for sign
  ElementType scaleType = ElementType::F32; ///< f32 for sign
  void *zeros = nullptr;                    ///< [n, groupCount(k)] of zeroType
  ZeroPointType zeroType = ZeroPointType::None;
  Rounding rounding = Rounding::Nearest;   ///< nearest for sign
  int8_t *residual = nullptr;              ///< [n, k] for rounding residual, in units of scale / 256
  ScaleUpdate scaling = ScaleUpdate::Keep; ///< keep for sign; tensor for int without groups
};

/// One step of an optimizer on one weight [n, k]. `bq.update` says what is computed.
struct UpdateArgs {
  UpdateRule rule = UpdateRule::Adam;
  int64_t n = 0, k = 0;   ///< A float weight of any shape has n = 1 and k = its number of elements.
  void *weight = nullptr; ///< [n, k] of weightType, where there is no packed one
  ElementType weightType = ElementType::F32;
  std::optional<PackedTarget> packed;
  const void *gradient = nullptr; ///< [n, k] of dataType. NaN and infinities are an error, and nothing is changed.
  bool gradientIsFinite = false;  ///< The caller has looked for those, so that the step need not read it twice.
  ElementType dataType = ElementType::F32;

  MomentType moments = MomentType::None;        ///< none for rule direction
  void *m = nullptr, *v = nullptr;              ///< [n, k] of that type; int8 and uint8 for block8 (v of
                                                ///< sign_momentum is int8 too). Zeros before the first step.
  float *mScales = nullptr, *vScales = nullptr; ///< [n, ceil(k / 256)] for block8; and 0 before the first step

  double lr = 1e-4, weightDecay = 0, beta1 = 0.99, beta2 = 0.9999, epsilon = 1e-6;
  bool biasCorrection = false; ///< adam only
  int64_t step = 1;            ///< The number of this step, from 1.
  uint64_t seed = 0;           ///< Of what is rounded at random.

  /// Whether the fields fit each other; errors name field, value and rule. The gradient's values are not looked at.
  Status verify() const;
  /// The numbers that kernels want; the scale is the caller's to set.
  abi::UpdateOptions options() const;
  /// The kernel for this step.
  KernelSpec spec() const;
};

/// Which element of `values` [count] is the first NaN or infinity, or -1.
int64_t firstNonFinite(ElementType type, const void *values, int64_t begin, int64_t end);

} // namespace bq

#endif // BQ_RUNTIME_UPDATEARGS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of an optimizer on a weight, as one kernel: float parameters and packed weights (`bq.update`).
#ifndef BQ_QUANTIZERS_UPDATE_H
#define BQ_QUANTIZERS_UPDATE_H

#include "quantizers/Export.h"
#include "quantizers/Tensors.h"

#include <string>

namespace bq {

/// The numbers of a step. The defaults are those of DiodeMix.
struct UpdateOptions {
  UpdateRule rule = UpdateRule::Adam;
  double lr = 1e-4, weightDecay = 0, beta1 = 0.99, beta2 = 0.9999, epsilon = 1e-6;
  bool biasCorrection = false; ///< adam only
  uint64_t seed = 0;           ///< Of what is rounded at random; with the number of the step it says every random bit.
  /// The caller has looked for NaN and infinities in the gradient (on a GPU by watchGradient()), so that it is read
  /// once and not twice; one that it has overlooked spreads to weight and moments.
  bool gradientIsFinite = false;
};

/// The moments of a weight, contiguous, on its device.
struct Moments {
  MomentType type = MomentType::None;
  at::Tensor m, v;             ///< The weight's shape; block8: int8, and v uint8 (sign_momentum: int8)
  at::Tensor mScales, vScales; ///< block8: float [rows, ceil(columns / 256)], where a float weight is one row

  /// Zeros for a weight of this shape: [N, K], or any shape for a float weight (`isPacked` false).
  BQ_TORCH_API static Moments zeros(MomentType type, UpdateRule rule, at::IntArrayRef shape, bool isPacked,
                                    at::Device device);
};

/// A packed weight that trains: canonical tensors, changed in place, contiguous.
struct PackedParameter {
  Format format;       ///< int, uint, sign
  at::Tensor codes;    ///< uint8 [N, rowBytes(K)]
  at::Tensor scales;   ///< [N, groupCount(K)] float, half or bfloat16; sign: not read, may be undefined
  at::Tensor zeros;    ///< uint: uint8 or float [N, groupCount(K)]; else undefined
  at::Tensor residual; ///< rounding residual: int8 [N, K], zeros at first; else undefined
  Rounding rounding = Rounding::Residual;   ///< sign: nearest
  ScaleUpdate scaling = ScaleUpdate::Group; ///< sign: keep
};

/// Step `step` (from 1) on a float weight: float, half or bfloat16, any shape, contiguous. `gradient` has its shape,
/// any type of those and any strides. `name` is the weight's in messages. All is changed in place; where anything is
/// wrong, a gradient with NaN or infinity included, nothing is, and c10::Error says what. No gradients are recorded.
///
/// On a GPU the step is put on the current stream, and nothing waits for it. A gradient with NaN or infinity leaves the
/// weight and its moments as they are there too, and so do all steps after it on that stream until somebody has been
/// told: the next call of update() that sees it throws, naming weight and element, or checkSteps() does. A step that
/// depends on its number (bias correction, random rounding) is an error while the stream is captured into a graph.
BQ_TORCH_API void update(const at::Tensor &weight, const at::Tensor &gradient, const Moments &moments, int64_t step,
                         const UpdateOptions &options, const std::string &name = "weight");

/// The same for a packed weight [N, K]; `gradient` is [N, K], with respect to the dequantized weight.
BQ_TORCH_API void update(const PackedParameter &weight, const at::Tensor &gradient, const Moments &moments,
                         int64_t step, const UpdateOptions &options, const std::string &name = "weight");

/// Waits for the current stream of a GPU and throws where a gradient was not finite of which nobody has been told yet.
/// Nothing to do on the CPU, where update() itself throws.
BQ_TORCH_API void checkSteps(at::Device device);
/// Looks at a gradient on a GPU ahead of steps with gradientIsFinite: where it has NaN or infinity, those that follow
/// on the current stream change nothing, as with update(). Does not wait. For several weights that are stepped together
/// or not at all.
BQ_TORCH_API void watchGradient(const at::Tensor &gradient, const std::string &name);

/// What codes and residual of a weight stand for, float [N, K]: the value that a step starts from.
BQ_TORCH_API at::Tensor value(const PackedParameter &weight);

} // namespace bq

#endif // BQ_QUANTIZERS_UPDATE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Integer tensors that train: packed weights that know what they are, with a slot for their gradient.
///
/// A quantized parameter is a tensor of packed codes whose AutogradMeta, the part of a tensor that also holds its
/// gradient, carries ParameterContents. So it is a module's parameter and one of an optimizer's as any other:
///
/// - `register_parameter(name, tensor, /*requires_grad=*/false)`: torch::save keeps the codes, `to` moves them. Scales
///   and zero points are buffers of the module. Only floating tensors can require a gradient in LibTorch; this does
///   not.
/// - Its gradient slot is `tensor.mutable_grad()`, which takes any tensor: a floating one of the shape of the weight,
///   put there by the layer's backward pass. `zero_grad` of modules and optimizers empties it.
/// - The contents stay with the tensor through `set_data`, and so through `to` of its module and torch::load; aliases
///   and copies of the tensor have none. Optimizers that do not know them meet an integer tensor and throw.
#ifndef BQ_QUANTIZERS_NBIT_PARAMETERS_H
#define BQ_QUANTIZERS_NBIT_PARAMETERS_H

#include "quantizers/Export.h"
#include "quantizers/Tensors.h"
#include "quantizers/nbit/Gptq.h"

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bq::optim {
class GaLoreProjector;
}

namespace bq::nn {

enum class ParameterKind { NBitLinear, NBitConv, BinaryLinear, BinaryConv, MpqWeight };

/// "NBitLinearParameter", "NBitConvParameter", "BinaryLinearParameter", "BinaryConvParameter", "MPQWeightParameter".
BQ_TORCH_API std::string_view str(ParameterKind kind);

/// What belongs to a quantized parameter besides its codes.
struct ParameterContents {
  /// Of the weight: [N, K], or [O, I, kh, kw], whose rows are packed as [kh, kw, I].
  std::vector<int64_t> shape;
  Format format;
  at::Tensor scales; ///< As WeightTensors has them, changed in place by steps; not of binary kinds, which are signs.
  at::Tensor zeros;  ///< Not defined where the format has none.
  /// What a step does with the part of it that the codes cannot hold, and with the scales; not of binary kinds.
  Rounding rounding = Rounding::Residual;
  ScaleUpdate scaling = ScaleUpdate::Group;
  /// int8 [N, K], what the codes leave over, in units of scale / 256; made by the first step that needs it.
  at::Tensor residual;
  /// Where true the tensor is not packed codes but the weight as bitorch-engine has it, and steps follow its rules:
  /// int8 of `shape`, or for MpqWeight the words of `gptq`. None of the fields above but `shape` is used then.
  bool upstreamCompatible = false;
  GptqWeight gptq; ///< For MpqWeight, its `words` not defined.
};

/// A quantized parameter: a view of a tensor and its contents, which it shares.
class BQ_TORCH_API QuantizedParameter {
public:
  /// Whether `tensor` is one, of any kind.
  static bool is(const at::Tensor &tensor);
  /// Throws where `tensor` is not one.
  explicit QuantizedParameter(at::Tensor tensor);
  /// Makes `data` one. Throws where data and contents do not fit each other or the kind.
  QuantizedParameter(at::Tensor data, ParameterKind kind, ParameterContents contents);

  ParameterKind kind() const;
  ParameterContents &contents() const;
  /// The tensor that modules and optimizers hold.
  const at::Tensor &data() const { return tensor; }
  /// The weight's tensors, where it is not upstreamCompatible.
  WeightTensors weight() const;
  /// For formats with one group and without zero points: the integers as floats, in the weight's shape, and the scales
  /// [N]. Of binary kinds the signs, and no scales; where upstreamCompatible the sign of 0 is 0.
  std::pair<at::Tensor, at::Tensor> integersAndScales() const;
  /// The weight in the type of its scales: [N, K], [O, I, kh, kw], or [K, N] for an upstreamCompatible MpqWeight. Of
  /// binary kinds the signs, where upstreamCompatible the integers, in float.
  at::Tensor dequantize() const;
  /// The shape of a gradient: of the weight, or [K, N] for an upstreamCompatible MpqWeight.
  std::vector<int64_t> gradShape() const;
  /// The shape of moments and of a residual: [N, K] in the order of the codes, or gradShape() where upstreamCompatible.
  std::vector<int64_t> momentShape() const;
  /// The gradient, not defined where there is none.
  at::Tensor grad() const { return tensor.grad(); }
  /// Adds to the gradient. From any thread. Throws where the shape is not gradShape().
  void accumulateGrad(const at::Tensor &gradient) const;
  /// "MPQWeightParameter [64, 128] uint4:g32", for errors.
  std::string describe() const;

protected:
  /// Throws where `tensor` is not one of this kind, naming what it is.
  QuantizedParameter(at::Tensor tensor, ParameterKind kind);

private:
  at::Tensor tensor;
};

/// One optimizer step on a quantized parameter with the gradient in its slot, or `grad`.
///
/// `expAvgL` and `expAvgS` are the first and the second moment of shape momentShape() (for binary kinds the means of
/// gradients and of signs), changed in place; `step`, one element, counts steps and is raised by one. Packed parameters
/// take the step that `bq::update` says, with the rule `adam` or, for binary kinds, `sign_momentum`, on the weight that
/// codes and residual stand for; `dtype` is not used then, as the moments' own type says how they are stored.
/// upstreamCompatible ones take that of bitorch-engine, computed in `dtype`.
///
/// With a `projector` the moments have the shape that it gives a gradient, and `grad` has it too; the slot's gradient
/// is projected here. Binary kinds take none.
///
/// Throws, before anything is changed, for tensors that are not quantized parameters, where there is no gradient, where
/// it holds NaN or infinity, and where shapes do not fit.
BQ_TORCH_API void qweightUpdateFn(const at::Tensor &qweight, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                                  const at::Tensor &step, double lr = 1e-4, double weightDecay = 0, double beta1 = 0.99,
                                  double beta2 = 0.9999, double eps = 1e-6, at::ScalarType dtype = at::kFloat,
                                  bool correctBias = false, optim::GaLoreProjector *projector = nullptr,
                                  const std::optional<at::Tensor> &grad = std::nullopt);

/// A quantized parameter of one kind.
template <ParameterKind Kind>
class TypedParameter : public QuantizedParameter {
public:
  /// Throws where `tensor` is not of this kind.
  explicit TypedParameter(at::Tensor tensor) : QuantizedParameter(std::move(tensor), Kind) {}
  /// Makes `data` one. Throws where data and contents do not fit each other.
  TypedParameter(at::Tensor data, ParameterContents contents)
      : QuantizedParameter(std::move(data), Kind, std::move(contents)) {}

  /// qweightUpdateFn() for a parameter of this kind; throws for others.
  static void update(const at::Tensor &qweight, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                     const at::Tensor &step, double lr = 1e-4, double weightDecay = 0, double beta1 = 0.99,
                     double beta2 = 0.9999, double eps = 1e-6, at::ScalarType dtype = at::kFloat,
                     bool correctBias = false, optim::GaLoreProjector *projector = nullptr,
                     const std::optional<at::Tensor> &grad = std::nullopt) {
    TypedParameter checked(qweight);
    qweightUpdateFn(qweight, expAvgS, expAvgL, step, lr, weightDecay, beta1, beta2, eps, dtype, correctBias, projector,
                    grad);
  }
};

using NBitLinearParameter = TypedParameter<ParameterKind::NBitLinear>;
using NBitConvParameter = TypedParameter<ParameterKind::NBitConv>;
using BinaryLinearParameter = TypedParameter<ParameterKind::BinaryLinear>;
using BinaryConvParameter = TypedParameter<ParameterKind::BinaryConv>;
using MPQWeightParameter = TypedParameter<ParameterKind::MpqWeight>;

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_PARAMETERS_H

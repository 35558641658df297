// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What NBitLinear, NBitConv2d, BinaryLinear and BinaryConv2d share.
#ifndef BQ_QUANTIZERS_NBIT_NBITMODULE_H
#define BQ_QUANTIZERS_NBIT_NBITMODULE_H

#include "quantizers/Export.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/Layer.h"
#include "quantizers/nbit/NBitSettings.h"

#include <torch/nn/cloneable.h>

#include <utility>

namespace bq::nn {

/// y = scaleA scaleW (q(x + biasA) * q(weight)), as quantizedProduct() has it; in evaluation by packed kernels, with
/// the same integers. x may be float, half, bfloat16 or double, and y has its type.
template <typename Derived>
class BQ_TORCH_API NBitModule : public torch::nn::Cloneable<Derived>, public NBitLayer {
public:
  void reset() override;
  void prepareParams() override;
  void generateQuantizedWeight(bool qweightOnly = false) override;
  void setWeightData(const at::Tensor &data) override;
  void setQuantizedWeightData(const at::Tensor &codes) override;
  void resetParameters() override;
  at::Tensor optWeight() override;
  void checkForward(const at::Tensor &x) const override;

  at::Tensor forward(const at::Tensor &x);

  /// Packed codes keep their type.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  /// A layer without its float weight saves the quantized one.
  void save(torch::serialize::OutputArchive &archive) const override;
  /// Throws where what is read has other shapes or types; nothing is changed then.
  void load(torch::serialize::InputArchive &archive) override;

  /// scaleA as the layer uses it, 0-d: at least the rule's eps. Not differentiable.
  at::Tensor activationScale() const;

  /// A parameter: floats, [0] once generateQuantizedWeight(true) has freed them; or the data of a QuantizedParameter.
  at::Tensor weight;
  at::Tensor biasA;  ///< A parameter, [in], added to the input.
  at::Tensor scaleA; ///< A parameter, 0-d. 0 until the first input that is not all zero sets it.
  at::Tensor scaleW; ///< A buffer, 0-d, where the whole weight has one scale.
  at::Tensor scales; ///< A buffer, [out, 1], of packed weights of several bits that train.

protected:
  explicit NBitModule(NBitSettings settings);

private:
  using Base = torch::nn::Cloneable<Derived>;

  void registerWeight();
  bool hasFloatWeight() const { return !settings.packed && weight.numel() > 0; }
  void checkTrainable() const;
  /// Lets scaleW follow the weight; for 4 bits of bitorch-engine it stays as prepareParams() set it.
  void updateScaleW();
  /// Sets scaleA where it is not set yet.
  void updateScaleA(const at::Tensor &x);
  /// Makes qweight where it is missing or older than what it is made from.
  void refreshQuantizedWeight();
  at::Tensor trainingPath(const at::Tensor &input);

  NBitSettings settings;
  /// What packed evaluation reads: made from the floats, or sharing the codes that train.
  c10::intrusive_ptr<PackedWeight> qweight;
  /// Place and version of the floats that it was made from.
  std::pair<const void *, int64_t> qweightStamp = {nullptr, -1};
  bool scaleAIsSet = false;
};

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_NBITMODULE_H

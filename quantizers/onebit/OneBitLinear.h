// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A linear layer whose weight is diag(a) sign diag(b), and trains.
#ifndef BQ_QUANTIZERS_ONEBIT_ONEBITLINEAR_H
#define BQ_QUANTIZERS_ONEBIT_ONEBITLINEAR_H

#include "quantizers/Export.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/Layer.h"
#include "quantizers/onebit/Decompose.h"

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <string>

namespace bq::nn {

struct BQ_TORCH_API OneBitLinearOptions {
  OneBitLinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  TORCH_ARG(bool, bias) = true;
  /// How evaluation takes sums: f32, bf16, i16 or i8.
  TORCH_ARG(std::string, compute) = "f32";
  /// Of latent weight, a, b and bias: float or double.
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  /// How setWeightData() finds a, b and the signs.
  TORCH_ARG(onebit::DecomposeOptions, decomposition);
};

/// y = ((x * b) sign(latent)^T) * a + bias, x [..., in] of any floating type; y has that type. Gradients pass straight
/// through the signs to the latent weight; those of x, a, b and bias are exact. Evaluation runs the kernels of the
/// format sign on packed codes, with a and b in float. Once generateQuantizedWeight(true) has dropped the latent
/// weight, codes, a, b and bias are all there is: they are what is saved, and the layer does not train.
class BQ_TORCH_API OneBitLinearImpl : public torch::nn::Cloneable<OneBitLinearImpl>, public NBitLayer {
public:
  /// Throws where an option is out of its range. The weight is Kaiming uniform, decomposed.
  explicit OneBitLinearImpl(OneBitLinearOptions options);
  /// The weight of `linear`, decomposed by what is known of its inputs, and a copy of its bias. Sizes, bias, type and
  /// device in `options` are set to those of `linear`.
  static std::shared_ptr<OneBitLinearImpl> fromFloat(const torch::nn::Linear &linear, OneBitLinearOptions options,
                                                     const onebit::Importance &importance = {});
  static std::shared_ptr<OneBitLinearImpl> fromFloat(const torch::nn::Linear &linear);

  void reset() override;
  /// Installs a decomposition of `data` [out, in]; the latent weight comes back where it was dropped.
  void setWeightData(const at::Tensor &data) override { setWeightData(data, {}); }
  void setWeightData(const at::Tensor &data, const onebit::Importance &importance);
  /// Nothing to do: a and b are there from the start.
  void prepareParams() override {}
  void generateQuantizedWeight(bool qweightOnly = false) override;
  /// Codes of the format sign, uint8 [out, ceil(in / 8)]; the latent weight is dropped.
  void setQuantizedWeightData(const at::Tensor &data) override;
  void resetParameters() override;
  /// In training the latent weight, in evaluation the codes.
  at::Tensor optWeight() override;
  void checkForward(const at::Tensor &x) const override;
  at::Tensor forward(const at::Tensor &x);
  /// What evaluation reads: codes and float scales, made where they are missing or older than the parameters.
  c10::intrusive_ptr<PackedWeight> packedWeight();

  /// Codes keep their type.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  /// Throws where what is read has other shapes or types; nothing is changed then.
  void load(torch::serialize::InputArchive &archive) override;
  void pretty_print(std::ostream &stream) const override;

  OneBitLinearOptions options;
  at::Tensor latent; ///< A parameter, [out, in]; [0] once it is dropped.
  at::Tensor a;      ///< A parameter, [out].
  at::Tensor b;      ///< A parameter, [in].
  at::Tensor bias;   ///< A parameter, [out]; not defined without one.
  at::Tensor codes;  ///< A buffer, uint8: [0] as long as there is a latent weight.

private:
  using Stamp = std::pair<const void *, int64_t>; ///< Place and version of a tensor.

  bool hasLatent() const { return latent.numel() > 0; }
  void checkTrainable() const;
  at::Tensor trainingPath(const at::Tensor &x) const;

  c10::intrusive_ptr<PackedWeight> packed;
  std::array<Stamp, 4> packedStamps; ///< Of latent, a, b and codes, that it was made from.
};
TORCH_MODULE(OneBitLinear);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_ONEBIT_ONEBITLINEAR_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A linear layer with a GPTQ-style weight whose packed codes train.
#ifndef BQ_QUANTIZERS_NBIT_MPQLINEAR_H
#define BQ_QUANTIZERS_NBIT_MPQLINEAR_H

#include "quantizers/Export.h"
#include "quantizers/nbit/Gba.h"
#include "quantizers/nbit/Gptq.h"
#include "quantizers/nbit/Layer.h"
#include "quantizers/nbit/Parameters.h"

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <string>

namespace bq::nn {

struct BQ_TORCH_API MPQLinearOptions {
  MPQLinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  /// Of the weight: 1 to 8; activations are floats.
  TORCH_ARG(int64_t, w_bits) = 4;
  /// Inputs that share a scale and a zero point; -1: all.
  TORCH_ARG(int64_t, group_size) = -1;
  TORCH_ARG(bool, bias) = false;
  /// Checkpoints hold whole zero points of packed integers, else floating ones with the scale in them.
  TORCH_ARG(bool, asym) = false;
  /// Whether the packed weight gets gradients.
  TORCH_ARG(bool, requires_grad) = true;
  /// How sums are taken: f32, bf16, i16 or i8.
  TORCH_ARG(std::string, compute) = "f32";
  /// Weight, tensors and steps are those of bitorch-engine 0.2.6: words [K w / 32, N], gradients [K, N].
  TORCH_ARG(bool, upstream_compatible) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  /// Of scales and bias; zero points are float.
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
};

/// y = x W^T + bias, x [..., in] of any floating type. The weight is an MPQWeightParameter in
/// uint<w_bits>:g<group_size>; backward() puts its gradient, [out, in], into its slot, and there is no copy of it in
/// floats: products read the codes. Columns are in the order of their groups: where a checkpoint has another, x is
/// gathered in that order first.
class BQ_TORCH_API MPQLinearImpl : public torch::nn::Cloneable<MPQLinearImpl>, public NBitLayer {
public:
  /// Throws where an option is out of its range.
  explicit MPQLinearImpl(MPQLinearOptions options);

  void reset() override;
  /// Installs a checkpoint's weight. Throws where sizes, bits, group size or kind of zero points are not the layer's,
  /// and where groups have different numbers of inputs; nothing is changed then.
  void setGptqWeight(const GptqWeight &checkpoint);
  /// The same with scales, and zero points of symmetric layers, from double-quantized statistics; those of `checkpoint`
  /// are not read.
  void setGptqWeight(GptqWeight checkpoint, const GbaStatistics &statistics);
  /// The weight as a checkpoint has it. Where asym, zero points that have moved off whole numbers are an error.
  GptqWeight gptqWeight() const;

  /// Nothing to do: scales and zero points are decoded when they are set.
  void prepareParams() override;
  /// Nothing to do: the packed weight is all there is.
  void generateQuantizedWeight(bool qweightOnly = false) override;
  /// Quantizes floats [out, in], to nearest.
  void setWeightData(const at::Tensor &data) override;
  void setQuantizedWeightData(const at::Tensor &codes) override;
  void resetParameters() override;
  at::Tensor optWeight() override;
  void checkForward(const at::Tensor &x) const override;
  at::Tensor forward(const at::Tensor &x);

  /// Codes and zero points keep their types.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  /// Throws where what is read has other shapes or types; nothing is changed then.
  void load(torch::serialize::InputArchive &archive) override;
  void pretty_print(std::ostream &stream) const override;

  MPQLinearOptions options;
  at::Tensor weight; ///< A parameter: uint8 [out, row bytes], or words where upstream_compatible.
  at::Tensor scales; ///< A buffer, [out, G], or [G, out] where upstream_compatible.
  at::Tensor zeros;  ///< A buffer, float [out, G], or as checkpoints have them where upstream_compatible.
  /// A buffer, int64 [in]: the input of each column, [0] where column k is input k. Where upstream_compatible int32
  /// [in], the group of each input.
  at::Tensor columnOrder;
  at::Tensor bias; ///< A parameter, [out], not defined without one.

private:
  void setUpstream(const GptqWeight &checkpoint);
  Format format() const;
  int64_t groups() const;
  ZeroConvention convention() const;
};
TORCH_MODULE(MPQLinear);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_MPQLINEAR_H

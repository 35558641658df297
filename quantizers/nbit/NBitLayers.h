// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Linear layers and convolutions whose activations and weights have few bits, for training and for packed evaluation.
#ifndef BQ_QUANTIZERS_NBIT_NBITLAYERS_H
#define BQ_QUANTIZERS_NBIT_NBITLAYERS_H

#include "quantizers/Export.h"
#include "quantizers/nbit/NBitModule.h"

#include <torch/expanding_array.h>
#include <torch/nn/pimpl.h>

namespace bq::nn {

struct BQ_TORCH_API NBitLinearOptions {
  NBitLinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  /// Of the activations: 1 to 8, or 16 for floats as they are.
  TORCH_ARG(int64_t, a_bits) = 4;
  /// Of the weight: 1 to 8.
  TORCH_ARG(int64_t, w_bits) = 4;
  /// The weight is an NBitLinearParameter: packed codes of 2 to 8 bits that train, no floats beside them.
  TORCH_ARG(bool, packed_weight) = false;
  /// The least scale of activations and weight.
  TORCH_ARG(double, eps) = 1e-5;
  /// Scales, rounding and gradients of bitorch-engine 0.2.6, with its flaws; evaluation is the training path then.
  TORCH_ARG(bool, upstream_compatible) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
};

/// y [..., out] for x [..., in], any number of rows: see NBitModule.
class BQ_TORCH_API NBitLinearImpl : public NBitModule<NBitLinearImpl> {
public:
  /// Throws where an option is out of its range.
  explicit NBitLinearImpl(NBitLinearOptions options);
  void pretty_print(std::ostream &stream) const override;

  NBitLinearOptions options;
};
TORCH_MODULE(NBitLinear);

struct BQ_TORCH_API NBitConv2dOptions {
  NBitConv2dOptions(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size) {}
  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  TORCH_ARG(torch::ExpandingArray<2>, padding) = 0;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  /// The others are those of NBitLinearOptions; the packed weight is an NBitConvParameter.
  TORCH_ARG(int64_t, a_bits) = 4;
  TORCH_ARG(int64_t, w_bits) = 4;
  TORCH_ARG(bool, packed_weight) = false;
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, upstream_compatible) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
};

/// The convolution of x [B, in, H, W]: see NBitModule.
class BQ_TORCH_API NBitConv2dImpl : public NBitModule<NBitConv2dImpl> {
public:
  /// Throws where an option is out of its range.
  explicit NBitConv2dImpl(NBitConv2dOptions options);
  void pretty_print(std::ostream &stream) const override;

  NBitConv2dOptions options;
};
TORCH_MODULE(NBitConv2d);

struct BQ_TORCH_API BinaryLinearOptions {
  BinaryLinearOptions(int64_t in_features, int64_t out_features)
      : in_features_(in_features), out_features_(out_features) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  /// Activations have both signs; else their first scale is twice as large.
  TORCH_ARG(bool, symmetric) = true;
  /// The others are those of NBitLinearOptions. The weight of an upstream-compatible layer is int8.
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, upstream_compatible) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
};

/// NBitModule with signs for activations and for the weight, a BinaryLinearParameter: one bit a weight, whose scale is
/// the mean magnitude of the floats it was made from and stays so.
class BQ_TORCH_API BinaryLinearImpl : public NBitModule<BinaryLinearImpl> {
public:
  /// Throws where an option is out of its range.
  explicit BinaryLinearImpl(BinaryLinearOptions options);
  void pretty_print(std::ostream &stream) const override;

  BinaryLinearOptions options;
};
TORCH_MODULE(BinaryLinear);

struct BQ_TORCH_API BinaryConv2dOptions {
  BinaryConv2dOptions(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size) {}
  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Padding counts as -1.
  TORCH_ARG(torch::ExpandingArray<2>, padding) = 0;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  /// The others are those of BinaryLinearOptions.
  TORCH_ARG(bool, symmetric) = true;
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, upstream_compatible) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  TORCH_ARG(torch::Dtype, dtype) = torch::kFloat;
};

/// The convolution of that kind; its weight is a BinaryConvParameter.
class BQ_TORCH_API BinaryConv2dImpl : public NBitModule<BinaryConv2dImpl> {
public:
  /// Throws where an option is out of its range.
  explicit BinaryConv2dImpl(BinaryConv2dOptions options);
  void pretty_print(std::ostream &stream) const override;

  BinaryConv2dOptions options;
};
TORCH_MODULE(BinaryConv2d);

extern template class NBitModule<NBitLinearImpl>;
extern template class NBitModule<NBitConv2dImpl>;
extern template class NBitModule<BinaryLinearImpl>;
extern template class NBitModule<BinaryConv2dImpl>;

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_NBITLAYERS_H

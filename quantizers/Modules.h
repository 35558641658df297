// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// torch::nn modules with quantized weights. Their buffers are the canonical tensors, so torch::save keeps nothing
/// else.
#ifndef BQ_QUANTIZERS_MODULES_H
#define BQ_QUANTIZERS_MODULES_H

#include "quantizers/Export.h"

#include <torch/expanding_array.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <string>

namespace bq {
struct MixedWeight;
}

namespace bq::nn {

struct BQ_TORCH_API QuantizedLinearOptions {
  QuantizedLinearOptions(int64_t in_features, int64_t out_features, std::string format)
      : in_features_(in_features), out_features_(out_features), format_(std::move(format)) {}
  TORCH_ARG(int64_t, in_features);
  TORCH_ARG(int64_t, out_features);
  /// Of the weight, such as int4:g128; not lut.
  TORCH_ARG(std::string, format);
  TORCH_ARG(bool, bias) = true;
  /// How the sum is taken: f32, bf16, i16 or i8.
  TORCH_ARG(std::string, compute) = "f32";
  /// What follows the sum: none, relu, gelu, gelu_tanh or silu.
  TORCH_ARG(std::string, activation) = "none";
};

/// activation(x W^T + bias), differentiable with respect to x and bias. A fresh module's weight is zero.
class BQ_TORCH_API QuantizedLinearImpl : public torch::nn::Cloneable<QuantizedLinearImpl> {
public:
  /// Throws c10::Error where an option is not known or a size is negative.
  explicit QuantizedLinearImpl(QuantizedLinearOptions options);

  /// The weight of `linear`, quantized, and its bias, shared.
  static std::shared_ptr<QuantizedLinearImpl> fromFloat(const torch::nn::Linear &linear, const std::string &format,
                                                        const std::string &compute = "f32",
                                                        const std::string &activation = "none");
  /// A mixed weight in the place of that of `linear`, and its bias; both shared.
  static std::shared_ptr<QuantizedLinearImpl> fromMixed(const torch::nn::Linear &linear, const MixedWeight &weight,
                                                        const std::string &compute = "f32",
                                                        const std::string &activation = "none");

  void reset() override;
  /// Scales, but of mixed, and bias change type; codes and zero points stay uint8. All are moved.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  void pretty_print(std::ostream &stream) const override;
  at::Tensor forward(const at::Tensor &x);
  /// The weight in the type of the scales.
  at::Tensor dequantize() const;

  QuantizedLinearOptions options;
  at::Tensor codes, scales;
  at::Tensor zeros; ///< Not defined where the format has no zero points.
  at::Tensor bias;  ///< Not defined where options.bias() is false.
};
TORCH_MODULE(QuantizedLinear);

struct BQ_TORCH_API QuantizedConv2dOptions {
  QuantizedConv2dOptions(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size,
                         std::string format)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size), format_(std::move(format)) {}
  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  /// Of the weight, such as int4:g32, where groups run along channels; not lut.
  TORCH_ARG(std::string, format);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Of zeros, at both ends of an axis.
  TORCH_ARG(torch::ExpandingArray<2>, padding) = 0;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = true;
  /// How the sum is taken: f32, bf16, i16 or i8.
  TORCH_ARG(std::string, compute) = "f32";
  /// What follows the sum: none, relu, gelu, gelu_tanh or silu.
  TORCH_ARG(std::string, activation) = "none";
};

/// activation(convolution of x [B, C, H, W] + bias), in the memory format of x, differentiable with respect to x and
/// bias. A fresh module's weight is zero.
class BQ_TORCH_API QuantizedConv2dImpl : public torch::nn::Cloneable<QuantizedConv2dImpl> {
public:
  /// Throws c10::Error where an option is not known, a size is not positive, or channels do not divide into groups.
  explicit QuantizedConv2dImpl(QuantizedConv2dOptions options);

  /// The weight of `conv`, quantized, and its bias, shared. Throws where it pads with other than zeros, or by a name.
  static std::shared_ptr<QuantizedConv2dImpl> fromFloat(const torch::nn::Conv2d &conv, const std::string &format,
                                                        const std::string &compute = "f32",
                                                        const std::string &activation = "none");
  /// A mixed weight in the place of that of `conv`, and its bias; both shared. Throws as fromFloat().
  static std::shared_ptr<QuantizedConv2dImpl> fromMixed(const torch::nn::Conv2d &conv, const MixedWeight &weight,
                                                        const std::string &compute = "f32",
                                                        const std::string &activation = "none");

  void reset() override;
  /// Scales, but of mixed, and bias change type; codes and zero points stay uint8. All are moved.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  void pretty_print(std::ostream &stream) const override;
  at::Tensor forward(const at::Tensor &x);
  /// The weight [O, I / groups, kh, kw] in the type of the scales.
  at::Tensor dequantize() const;

  QuantizedConv2dOptions options;
  at::Tensor codes, scales;
  at::Tensor zeros; ///< Not defined where the format has no zero points.
  at::Tensor bias;  ///< Not defined where options.bias() is false.

private:
  at::DimVector weightShape() const;
};
TORCH_MODULE(QuantizedConv2d);

struct BQ_TORCH_API QuantizedEmbeddingOptions {
  QuantizedEmbeddingOptions(int64_t num_embeddings, int64_t embedding_dim, std::string format)
      : num_embeddings_(num_embeddings), embedding_dim_(embedding_dim), format_(std::move(format)) {}
  TORCH_ARG(int64_t, num_embeddings);
  TORCH_ARG(int64_t, embedding_dim);
  /// Of the weight, such as int8; not lut.
  TORCH_ARG(std::string, format);
};

/// Rows of a quantized weight, in the type of its scales. A fresh module's weight is zero.
class BQ_TORCH_API QuantizedEmbeddingImpl : public torch::nn::Cloneable<QuantizedEmbeddingImpl> {
public:
  /// Throws c10::Error where an option is not known or a size is negative.
  explicit QuantizedEmbeddingImpl(QuantizedEmbeddingOptions options);

  /// The weight of `embedding`, quantized. Throws where it has max_norm, which changes the weight.
  static std::shared_ptr<QuantizedEmbeddingImpl> fromFloat(const torch::nn::Embedding &embedding,
                                                           const std::string &format);

  void reset() override;
  /// Scales change type; codes and zero points stay uint8. All are moved.
  void to(torch::Device device, torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Dtype dtype, bool nonBlocking = false) override;
  void to(torch::Device device, bool nonBlocking = false) override;
  void pretty_print(std::ostream &stream) const override;
  at::Tensor forward(const at::Tensor &indices);
  /// The weight in the type of the scales.
  at::Tensor dequantize() const;

  QuantizedEmbeddingOptions options;
  at::Tensor codes, scales;
  at::Tensor zeros; ///< Not defined where the format has no zero points.
};
TORCH_MODULE(QuantizedEmbedding);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_MODULES_H

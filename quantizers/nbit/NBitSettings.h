// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The options of an n-bit layer in one form, and the weights that follow from them.
#ifndef BQ_QUANTIZERS_NBIT_NBITSETTINGS_H
#define BQ_QUANTIZERS_NBIT_NBITSETTINGS_H

#include "dialect/core/Format.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/Parameters.h"
#include "quantizers/nbit/QuantizedProduct.h"

#include <torch/types.h>

#include <optional>
#include <utility>
#include <vector>

namespace bq::nn {

struct NBitSettings {
  const char *name = "";            ///< For errors.
  std::vector<int64_t> weightShape; ///< [out, in], or [out, in / groups, kh, kw].
  ProductRule product;
  /// The kind of the parameter that the weight is, where its packed codes train.
  std::optional<ParameterKind> packed;
  torch::Device device = torch::kCPU;
  torch::Dtype dtype = torch::kFloat;

  /// Throws where bits, sizes or types are not supported.
  void check() const;
  int64_t inFeatures() const { return weightShape[1] * (product.conv ? product.conv->groups : 1); }
  /// Rows and columns of the packed weight.
  std::pair<int64_t, int64_t> matrix() const;
  bool isBinary() const;
  /// Of a parameter whose codes train: int<bits>, or sign for one bit.
  Format format() const;
  at::TensorOptions tensorOptions() const { return at::TensorOptions().device(device).dtype(dtype); }

  /// Kaiming uniform with a = sqrt(5), of weightShape.
  at::Tensor freshWeight() const;
  /// For `packed`: floats of weightShape as codes that train, int8 where upstreamCompatible, and scales: [out, 1], or
  /// 0-d of binary weights.
  std::pair<at::Tensor, at::Tensor> trainableCodes(const at::Tensor &weight) const;
  /// Canonical codes of a float weight with the scale `scaleW`.
  at::Tensor codesOf(const at::Tensor &weight, const at::Tensor &scaleW) const;
  /// Codes, shared, as a weight of integers for products: int<bits>, or for one bit uint1 with zero points of 1/2,
  /// whose codes are those of sign. Its scales are 1, so that a sum stays exact whatever parts a kernel makes of it.
  c10::intrusive_ptr<PackedWeight> packedWeight(const at::Tensor &codes) const;
  /// Throws where `data` is not what `expected` says, naming both.
  void checkData(const char *what, const at::Tensor &data, at::ScalarType type, at::IntArrayRef shape) const;
};

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_NBITSETTINGS_H

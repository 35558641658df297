// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/NBitSettings.h"

#include "quantizers/Quantize.h"
#include "quantizers/Tensors.h"
#include "quantizers/nbit/Packing.h"
#include "quantizers/nbit/TensorQuant.h"

#include <torch/nn/init.h>

#include <cmath>

using namespace bq;
using namespace bq::nn;

void NBitSettings::check() const {
  for (int64_t size : weightShape)
    TORCH_CHECK(size > 0, name, ": sizes must be positive, got a weight of shape ", shapeText(weightShape));
  bool known = dtype == torch::kFloat || dtype == torch::kHalf || dtype == torch::kBFloat16 ||
               (dtype == torch::kDouble && !packed);
  TORCH_CHECK(known, name, ": dtype ", dtype, " is not supported: use float, half or bfloat16",
              packed ? "" : ", or double for training alone");
  product.activations.check(name, "a_bits");
  product.weights.check(name, "w_bits");
}

std::pair<int64_t, int64_t> NBitSettings::matrix() const { return matrixShape(name, weightShape); }

bool NBitSettings::isBinary() const {
  return packed == ParameterKind::BinaryLinear || packed == ParameterKind::BinaryConv;
}

Format NBitSettings::format() const {
  int64_t bits = product.weights.bits;
  return take(name, Format::parse(bits == 1 ? "sign" : "int" + std::to_string(bits)));
}

at::Tensor NBitSettings::freshWeight() const {
  at::Tensor weight = at::empty(weightShape, tensorOptions());
  return torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
}

/// A weight as the rows that its codes are packed from.
static at::Tensor rowsOf(const at::Tensor &weight, std::pair<int64_t, int64_t> matrix) {
  return (weight.dim() == 4 ? weight.permute({0, 2, 3, 1}) : weight).reshape({matrix.first, matrix.second});
}

std::pair<at::Tensor, at::Tensor> NBitSettings::trainableCodes(const at::Tensor &weight) const {
  if (!isBinary()) {
    auto [codes, scales, zeros] = quantize(weight, format());
    return {codes, scales};
  }
  auto [integers, scale] = initBinaryWeight(weight, product.upstreamCompatible);
  if (product.upstreamCompatible)
    return {integers, scale};
  return {packRows(rowsOf(integers, matrix()).gt(0).to(at::kByte), 1), scale};
}

at::Tensor NBitSettings::codesOf(const at::Tensor &weight, const at::Tensor &scaleW) const {
  const int64_t bits = product.weights.bits;
  at::Tensor integers = rowsOf(product.weights.integers(weight, scaleW), matrix()).to(at::kInt);
  return packRows(bits == 1 ? integers.gt(0).to(at::kInt) : integers.bitwise_and((1 << bits) - 1), bits);
}

c10::intrusive_ptr<PackedWeight> NBitSettings::packedWeight(const at::Tensor &codes) const {
  at::Tensor ones = at::ones({weightShape[0], 1}, codes.options().dtype(at::kFloat));
  if (product.weights.bits > 1)
    return c10::make_intrusive<PackedWeight>(codes, ones, std::nullopt, format(), weightShape);
  return c10::make_intrusive<PackedWeight>(codes, 2 * ones, ones / 2, take(name, Format::parse("uint1")), weightShape);
}

void NBitSettings::checkData(const char *what, const at::Tensor &data, at::ScalarType type,
                             at::IntArrayRef shape) const {
  TORCH_CHECK(data.defined(), name, ": '", what, "' is not defined");
  bool floating = at::isFloatingType(type);
  TORCH_CHECK(data.sizes() == shape && (floating ? data.is_floating_point() : data.scalar_type() == type), name,
              ": expected '", what, "' of ", floating ? "a floating type" : toString(type), " and shape ",
              shapeText(shape), ", got ", data.scalar_type(), " ", shapeText(data.sizes()));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Autograd.h"
#include "quantizers/Linear.h"
#include "quantizers/PackedWeightClass.h"
#include "quantizers/Quantize.h"
#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/OnGpu.h"

#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using Quantized = std::tuple<Tensor, Tensor, Tensor>;
using dispatch::PackedPtr;

namespace {

constexpr char quantizeName[] = "bq::quantize";
constexpr char dequantizeName[] = "bq::dequantize";
constexpr char linearName[] = "bq::linear";
constexpr char embeddingName[] = "bq::embedding";
constexpr char linearPackedName[] = "bq::linear_packed";
constexpr char embeddingPackedName[] = "bq::embedding_packed";

Format parseFormat(const char *op, c10::string_view format) { return take(op, Format::parse(format)); }

//===---------------------------------------------------------------------===//
// quantize, dequantize
//===---------------------------------------------------------------------===//

Quantized quantizeHere(const Tensor &weight, c10::string_view format, std::optional<at::ScalarType> scaleType) {
  return quantize(weight, parseFormat(quantizeName, format), scaleType);
}

Quantized quantizeMeta(const Tensor &weight, c10::string_view text, std::optional<at::ScalarType> scaleType) {
  constexpr const char *op = quantizeName;
  Format format = parseFormat(op, text);
  elementType(op, "weight", weight.scalar_type());
  at::ScalarType storedType = scaleType.value_or(weight.scalar_type());
  elementType(op, "scale_dtype", storedType);
  at::DimVector shape;
  for (const c10::SymInt &size : weight.sym_sizes())
    shape.push_back(size.guard_int(__FILE__, __LINE__));
  auto [n, k] = matrixShape(op, shape);
  auto make = [&](at::IntArrayRef sizes, at::ScalarType type) {
    return at::empty(sizes, weight.options().dtype(type).memory_format(at::MemoryFormat::Contiguous));
  };
  int64_t groups = format.groupCount(k);
  return {make({n, format.rowBytes(k)}, at::kByte),
          format.hasColumnScale() ? make({n + k}, storedType) : make({n, groups}, storedType),
          format.hasZeroPoints() ? make({n, groups}, at::kByte) : make({0}, at::kByte)};
}

Tensor dequantizeHere(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros, c10::string_view format,
                      at::IntArrayRef shape) {
  return dequantize(codes, scales, zeros, parseFormat(dequantizeName, format), shape);
}

Tensor dequantizeMeta(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros, c10::string_view format,
                      at::IntArrayRef shape) {
  constexpr const char *op = dequantizeName;
  if (parseFormat(op, format).isMixed())
    return at::empty(shape, scales.options());
  checkWeight(op, {codes, scales, zeros, std::nullopt}, parseFormat(op, format), matrixShape(op, shape).second);
  return at::empty(shape, scales.options());
}

//===---------------------------------------------------------------------===//
// linear, embedding
//===---------------------------------------------------------------------===//

/// What the kernels of bq::linear for devices and for meta tensors check alike.
struct LinearCall {
  static constexpr const char *op = linearName;
  WeightTensors weight;
  Format format;
  LinearChoice choice;
  int64_t n, k;

  LinearCall(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
             c10::string_view formatText, c10::string_view compute, c10::string_view activation,
             const OptionalTensor &groupIndex)
      : weight{codes, scales, zeros, groupIndex}, format(parseFormat(op, formatText)),
        choice(LinearChoice::parse(op, compute, activation)), k(inputFeatures(op, x)) {
    checkDevice(op, "codes", codes, x.device());
    TORCH_CHECK(format.isMixed() || codes.dim() != 2 || codes.sym_size(1) == format.rowBytes(k), op, ": 'x' ",
                x.sym_sizes(), " does not fit 'codes' ", codes.sym_sizes(), ": a row of K = ", k, " in ", format.str(),
                " has ", format.rowBytes(k), " bytes");
    n = checkWeight(op, weight, format, k);
  }
};

Tensor linearHere(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                  const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                  c10::string_view activation, const OptionalTensor &groupIndex) {
  LinearCall call(x, codes, scales, zeros, format, compute, activation, groupIndex);
  const LinearWeight weight{[&] { return prepackRemembered(call.op, call.weight, call.format, call.k); },
                            [&] { return call.weight; }, call.format, call.n, call.k};
  return runLinear(call.op, x, bias, weight, call.choice);
}

Tensor linearMeta(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                  const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                  c10::string_view activation, const OptionalTensor &groupIndex) {
  const Format parsed = parseFormat(linearName, format);
  // The rows of a mixed weight stand in its data: a bias has as many elements.
  if (parsed.isMixed() && bias && bias->defined() && bias->dim() == 1) {
    LinearChoice::parse(linearName, compute, activation);
    inputFeatures(linearName, x);
    checkMixedTensors(linearName, {codes, scales, zeros, groupIndex}, parsed);
    return emptyLinearResult(linearName, x, bias, bias->sym_size(0).guard_int(__FILE__, __LINE__));
  }
  LinearCall call(x, codes, scales, zeros, format, compute, activation, groupIndex);
  return emptyLinearResult(call.op, x, bias, call.n);
}

Tensor embeddingHere(const Tensor &indices, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                     c10::string_view text, int64_t dim) {
  constexpr const char *op = embeddingName;
  Format format = parseFormat(op, text);
  WeightTensors weight{codes, scales, zeros, std::nullopt};
  checkWeight(op, weight, format, dim);
  return runEmbedding(op, indices, weight, format, dim);
}

Tensor embeddingMeta(const Tensor &indices, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                     c10::string_view text, int64_t dim) {
  constexpr const char *op = embeddingName;
  WeightTensors weight{codes, scales, zeros, std::nullopt};
  const Format format = parseFormat(op, text);
  if (format.isMixed())
    checkMixedTensors(op, weight, format);
  else
    checkWeight(op, weight, format, dim);
  return emptyEmbeddingResult(op, indices, weight, dim);
}

//===---------------------------------------------------------------------===//
// linear_packed, embedding_packed
//===---------------------------------------------------------------------===//

void checkPackedInput(const Tensor &x, const PackedWeight &weight) {
  TORCH_CHECK(weight.shape().size() == 2 && inputFeatures(linearPackedName, x) == weight.k(), linearPackedName,
              ": 'x' ", x.sym_sizes(), " does not fit the weight ", shapeText(weight.shape()));
}

Tensor linearPackedHere(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias, c10::string_view compute,
                        c10::string_view activation) {
  LinearChoice choice = LinearChoice::parse(linearPackedName, compute, activation);
  checkPackedInput(x, *weight);
  const LinearWeight tensors{[&] { return weight->prepacked(x.device()); },
                             [&] { return weight->canonical(x.device()); }, weight->format(), weight->n(), weight->k()};
  return runLinear(linearPackedName, x, bias, tensors, choice);
}

Tensor linearPackedMeta(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias, c10::string_view compute,
                        c10::string_view activation) {
  LinearChoice::parse(linearPackedName, compute, activation);
  checkPackedInput(x, *weight);
  return emptyLinearResult(linearPackedName, x, bias, weight->n());
}

Tensor embeddingPackedHere(const Tensor &indices, const PackedPtr &weight) {
  return runEmbedding(embeddingPackedName, indices, weight->canonical(indices.device()), weight->format(), weight->k());
}

Tensor embeddingPackedMeta(const Tensor &indices, const PackedPtr &weight) {
  c10::SymDimVector sizes(indices.sym_sizes());
  sizes.push_back(weight->k());
  return at::empty_symint(sizes, indices.options().dtype(weight->scales().scalar_type()));
}

} // namespace

//===---------------------------------------------------------------------===//
// Registration
//===---------------------------------------------------------------------===//

TORCH_LIBRARY(bq, m) {
  registerPackedWeightClass();
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("quantize(Tensor weight, str format, ScalarType? scale_dtype=None) -> "
        "(Tensor codes, Tensor scales, Tensor zeros)",
        tags);
  m.def("dequantize(Tensor codes, Tensor scales, Tensor? zeros, str format, int[] shape) -> Tensor", tags);
  m.def("linear(Tensor x, Tensor codes, Tensor scales, Tensor? zeros, Tensor? bias, str format, str compute=\"f32\", "
        "str activation=\"none\", Tensor? g_idx=None) -> Tensor",
        tags);
  m.def("embedding(Tensor indices, Tensor codes, Tensor scales, Tensor? zeros, str format, int dim) -> Tensor", tags);
  m.def("linear_packed(Tensor x, __torch__.torch.classes.bq.PackedWeight weight, Tensor? bias, str compute=\"f32\", "
        "str activation=\"none\") -> Tensor",
        tags);
  m.def("embedding_packed(Tensor indices, __torch__.torch.classes.bq.PackedWeight weight) -> Tensor", tags);
}

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("quantize", quantizeHere);
  m.impl("dequantize", dequantizeHere);
  m.impl("linear", linearHere);
  m.impl("embedding", embeddingHere);
  m.impl("linear_packed", linearPackedHere);
  m.impl("embedding_packed", embeddingPackedHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("quantize", quantizeMeta);
  m.impl("dequantize", dequantizeMeta);
  m.impl("linear", linearMeta);
  m.impl("embedding", embeddingMeta);
  m.impl("linear_packed", linearPackedMeta);
  m.impl("embedding_packed", embeddingPackedMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("quantize", gpu::OnGpu<quantizeHere, quantizeName>::call);
  m.impl("dequantize", gpu::OnGpu<dequantizeHere, dequantizeName>::call);
  m.impl("linear", gpu::OnGpu<linearHere, linearName>::call);
  m.impl("embedding", gpu::OnGpu<embeddingHere, embeddingName>::call);
  m.impl("linear_packed", gpu::OnGpu<linearPackedHere, linearPackedName>::call);
  m.impl("embedding_packed", gpu::OnGpu<embeddingPackedHere, embeddingPackedName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  m.impl("linear", linearAutograd);
  m.impl("linear_packed", linearPackedAutograd);
  for (const char *name : {"quantize", "dequantize", "embedding", "embedding_packed"})
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
}

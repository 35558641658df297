// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Autograd.h"
#include "quantizers/InputGradient.h"
#include "quantizers/Linear.h"
#include "quantizers/PackedWeightClass.h"
#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/cuda/OnGpu.h"

#include <torch/library.h>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using dispatch::PackedPtr;

namespace {

constexpr char plainName[] = "bq::linear_input_gradient";
constexpr char packedName[] = "bq::linear_packed_input_gradient";

/// Checks that the gradient [..., N] is one of a layer with n outputs; gives an uninitialized result [..., k].
Tensor emptyResult(const char *op, const Tensor &gradient, int64_t n, int64_t k) {
  TORCH_CHECK(inputFeatures(op, gradient) == n, op, ": expected 'gradient' [..., ", n, "], got ", gradient.sym_sizes());
  c10::SymDimVector sizes(gradient.sym_sizes());
  sizes.back() = k;
  return at::empty_symint(sizes, gradient.options());
}

/// `weight` is asked on GPUs, `transposed` on the CPU, where they can be; else `dense`: W in the type of the gradient.
template <typename Transposed, typename Dense>
Tensor run(const char *op, const Tensor &gradient, const LinearWeight &weight, Compute compute, Transposed transposed,
           Dense dense) {
  Tensor result = emptyResult(op, gradient, weight.n, weight.k);
  if (result.numel() == 0 || weight.n == 0)
    return result.zero_();
  const Tensor rows = gradient.reshape({-1, weight.n});
  if (gradient.is_cpu() && canTranspose(weight.format, weight.k, {}))
    return linearInputGradient(op, rows, *transposed(), gradientCompute(compute)).view(result.sizes());
  if (gradient.is_cuda() && gpu::linearInputGradient(op, gpu::currentPlace(op, gradient.device()),
                                                     {rows.contiguous(), {}, result}, weight, compute))
    return result;
  return at::matmul(gradient, dense());
}

Tensor plainHere(const Tensor &gradient, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                 c10::string_view formatText, int64_t k, c10::string_view compute, const OptionalTensor &groupIndex) {
  const Format format = take(plainName, Format::parse(formatText));
  const WeightTensors weight{codes, scales, zeros, groupIndex};
  checkDevice(plainName, "codes", codes, gradient.device());
  const int64_t n = checkWeight(plainName, weight, format, k);
  const LinearWeight prepacked{[&] { return prepackRemembered(plainName, weight, format, k); }, {}, format, n, k};
  return run(
      plainName, gradient, prepacked, take(plainName, parseCompute(compute)),
      [&] { return transposedRemembered(plainName, weight, format, k, {}); },
      [&] { return dispatch::dequantize(codes, scales, zeros, format, {n, k}, groupIndex, gradient.scalar_type()); });
}

Tensor plainMeta(const Tensor &gradient, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                 c10::string_view format, int64_t k, c10::string_view, const OptionalTensor &groupIndex) {
  const Format parsed = take(plainName, Format::parse(format));
  const WeightTensors weight{codes, scales, zeros, groupIndex};
  if (parsed.isMixed()) {
    checkMixedTensors(plainName, weight, parsed);
    return emptyResult(plainName, gradient, inputFeatures(plainName, gradient), k);
  }
  return emptyResult(plainName, gradient, checkWeight(plainName, weight, parsed, k), k);
}

Tensor packedHere(const Tensor &gradient, const PackedPtr &weight, c10::string_view compute) {
  const LinearWeight prepacked{
      [&] { return weight->prepacked(gradient.device()); }, {}, weight->format(), weight->n(), weight->k()};
  return run(
      packedName, gradient, prepacked, take(packedName, parseCompute(compute)), [&] { return weight->transposed({}); },
      [&] { return weight->dequantize(gradient.scalar_type(), gradient.device()); });
}

Tensor packedMeta(const Tensor &gradient, const PackedPtr &weight, c10::string_view) {
  return emptyResult(packedName, gradient, weight->n(), weight->k());
}

} // namespace

TORCH_LIBRARY_FRAGMENT(bq, m) {
  registerPackedWeightClass();
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("linear_input_gradient(Tensor gradient, Tensor codes, Tensor scales, Tensor? zeros, str format, int k, "
        "str compute=\"f32\", Tensor? g_idx=None) -> Tensor",
        tags);
  m.def("linear_packed_input_gradient(Tensor gradient, __torch__.torch.classes.bq.PackedWeight weight, "
        "str compute=\"f32\") -> Tensor",
        tags);
}

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("linear_input_gradient", plainHere);
  m.impl("linear_packed_input_gradient", packedHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("linear_input_gradient", plainMeta);
  m.impl("linear_packed_input_gradient", packedMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("linear_input_gradient", gpu::OnGpu<plainHere, plainName>::call);
  m.impl("linear_packed_input_gradient", gpu::OnGpu<packedHere, packedName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  m.impl("linear_input_gradient", linearInputGradientAutograd);
  m.impl("linear_packed_input_gradient", linearPackedInputGradientAutograd);
}

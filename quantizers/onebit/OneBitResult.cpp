// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/OneBitResult.h"

#include "quantizers/nbit/Packing.h"

#include <cmath>

using namespace bq;

using at::Tensor;

namespace {

double greatest(const Tensor &values) { return values.numel() ? values.abs().max().item<double>() : 0; }

/// The power of two that brings the greatest of a, multiplied by it, and of b, divided by it, together. It rounds
/// nothing.
double gauge(const Tensor &a, const Tensor &b) {
  const double left = greatest(a), right = greatest(b);
  return left > 0 && right > 0 ? std::exp2(std::round(std::log2(right / left) / 2)) : 1;
}

Tensor toHalf(const char *name, const Tensor &values) {
  Tensor half = values.to(at::kHalf);
  TORCH_CHECK(half.isfinite().all().item<bool>(), "OneBit: ", name, " reaches ", greatest(values),
              ", which half does not hold; scale the weight down");
  return half;
}

} // namespace

OneBitResult OneBitResult::fromDecomposition(const onebit::Decomposition &form,
                                             const onebit::DecomposeOptions &options) {
  OneBitResult result;
  const bool isUnfolded = options.upstreamCompatible && options.balancing;
  const double scale = options.upstreamCompatible ? 1 : gauge(form.a, form.b);
  result.a = toHalf("a", form.a * scale);
  result.b = toHalf("b", form.b / scale);
  result.sign = packRows(form.sign.to(at::kByte), 1);
  if (isUnfolded)
    result.unfolded = toHalf("the weight", form.dequantized);
  result.iters = options.iterations;
  result.useImportanceScaling = options.importanceScaling;
  result.useBalancing = options.balancing;
  result.balanceIters = options.balanceIterations;
  result.balanceAlpha = options.balanceAlpha;
  return result;
}

Tensor OneBitResult::dequantizedWeight() const {
  Tensor weight = unfolded;
  if (!weight.defined()) {
    Tensor sign = unpackRows(this->sign, 1, inFeatures()).to(at::kFloat).mul_(2).sub_(1);
    // Products of two halves are exact in float.
    weight = sign.mul_(a.to(at::kFloat).unsqueeze(1)).mul_(b.to(at::kFloat)).to(at::kHalf);
  }
  return isTransposed ? weight.t().contiguous() : weight;
}

c10::intrusive_ptr<PackedWeight> OneBitResult::pack() const {
  TORCH_CHECK(!unfolded.defined(), "OneBit: a and b of upstream's balancing lack its factors and do not make the "
                                   "weight; quantize without upstream_compatible to run the layer");
  return c10::make_intrusive<PackedWeight>(sign, at::cat({a, b}), std::nullopt, *Format::parse("sign"),
                                           std::vector<int64_t>{outFeatures(), inFeatures()});
}

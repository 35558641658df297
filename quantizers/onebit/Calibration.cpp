// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Calibration.h"

#include <c10/core/ScalarType.h>

using namespace bq::onebit;

using at::Tensor;

namespace {

/// Rows of inputs whose outputs are made at once.
constexpr int64_t outputRows = 512;

Tensor asRows(const char *op, const char *what, const Tensor &x, int64_t columns) {
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == columns, op, ": ", what, " must have ", columns, " columns, got ",
              x.sizes());
  return x.reshape({-1, columns});
}

double squares(const Tensor &values) { return values.to(at::kDouble).square().sum().item<double>(); }

SquaredError makeError(double sum, int64_t count, double wanted) {
  SquaredError error;
  error.sum = sum;
  error.mean = count ? sum / count : 0;
  if (wanted > 0)
    error.relative = sum / wanted;
  return error;
}

void checkShapes(const char *op, const Tensor &weight, const Tensor &quantized) {
  TORCH_CHECK(weight.dim() == 2 && weight.sizes() == quantized.sizes(), op, ": the quantized weight is ",
              quantized.sizes(), ", the weight is ", weight.sizes(), "; both must be the same [N, K]");
}

} // namespace

Hessian::Hessian(int64_t columns, at::ScalarType type) : columns(columns) {
  TORCH_CHECK(type == at::kFloat || type == at::kDouble, "Hessian: type is ", type, ", use float or double");
  sum = at::zeros({columns, columns}, type);
}

void Hessian::add(const Tensor &x) {
  Tensor rows = asRows("Hessian::add", "inputs", x.detach(), columns).to(sum.scalar_type());
  TORCH_CHECK(rows.isfinite().all().item<bool>(), "Hessian::add: inputs hold values that are not finite");
  sum.addmm_(rows.t(), rows);
  count += rows.size(0);
}

Tensor Hessian::value() const { return count ? sum * (2.0 / count) : sum.clone(); }

SquaredError bq::onebit::weightError(const Tensor &weight, const Tensor &quantized) {
  checkShapes("weightError", weight, quantized);
  return makeError(squares(weight - quantized.to(weight.scalar_type())), weight.numel(), squares(weight));
}

SquaredError bq::onebit::outputError(const Tensor &weight, const Tensor &quantized, const Tensor &x) {
  checkShapes("outputError", weight, quantized);
  Tensor rows = asRows("outputError", "inputs", x, weight.size(1)).to(weight.scalar_type());
  Tensor other = quantized.to(weight.scalar_type());
  double sum = 0, wanted = 0;
  for (int64_t first = 0; first < rows.size(0); first += outputRows) {
    Tensor part = rows.slice(0, first, first + outputRows);
    Tensor output = at::matmul(part, weight.t());
    sum += squares(output - at::matmul(part, other.t()));
    wanted += squares(output);
  }
  return makeError(sum, weight.size(0) * rows.size(0), wanted);
}

double bq::onebit::outputError(const Tensor &weight, const Tensor &quantized, const Hessian &hessian) {
  checkShapes("outputError", weight, quantized);
  Tensor difference = weight.to(at::kDouble) - quantized.to(at::kDouble);
  return (at::matmul(difference, hessian.value().to(at::kDouble)) * difference).sum().item<double>();
}

Tensor bq::onebit::inputShift(const Tensor &floatInputs, const Tensor &quantizedInputs) {
  TORCH_CHECK(floatInputs.sizes() == quantizedInputs.sizes(), "inputShift: inputs are ", floatInputs.sizes(), " and ",
              quantizedInputs.sizes(), ", both must have the same shape");
  Tensor before = floatInputs.flatten(0, -2).to(at::kFloat), now = quantizedInputs.flatten(0, -2).to(at::kFloat);
  return at::matmul((before - now).t(), now) * (2.0 / now.size(0));
}

Tensor bq::onebit::adjustWeight(const Tensor &weight, const Tensor &hessian, const Tensor &shift,
                                const QepOptions &options) {
  const int64_t k = weight.size(1);
  for (const Tensor *square : {&hessian, &shift})
    TORCH_CHECK(square->sizes() == at::IntArrayRef({k, k}), "adjustWeight: the weight is ", weight.sizes(),
                ", so Hessian and shift must be [", k, ", ", k, "], got ", square->sizes());
  Tensor damped = hessian.to(at::kFloat).clone();
  Tensor diagonal = damped.diagonal();
  Tensor isDead = diagonal == 0;
  diagonal.masked_fill_(isDead, 1.0);
  Tensor values = weight.to(at::kFloat).masked_fill(isDead, 0.0);
  diagonal.add_(diagonal.mean() * options.damping);
  auto [factor, info] = at::linalg_cholesky_ex(damped);
  TORCH_CHECK(info.item<int>() == 0, "adjustWeight: the Hessian with a damping of ", options.damping,
              " is not positive definite; use a greater damping or more calibration data");
  Tensor correction = at::cholesky_solve(at::matmul(values, shift.to(at::kFloat)).t(), factor).t();
  return (values + options.correction * correction).to(weight.scalar_type());
}

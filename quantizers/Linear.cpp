// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Linear.h"

#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/cuda/GpuRows.h"

using namespace bq;

LinearChoice LinearChoice::parse(const char *op, std::string_view compute, std::string_view activation) {
  return {take(op, parseCompute(compute)), take(op, parseActivation(activation))};
}

int64_t bq::inputFeatures(const char *op, const at::Tensor &x) {
  elementType(op, "x", x.scalar_type());
  TORCH_CHECK(x.dim() >= 1, op, ": expected 'x' [..., K], got a tensor without dimensions");
  return x.sym_size(-1).guard_int(__FILE__, __LINE__);
}

at::Tensor bq::emptyLinearResult(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                                 int64_t n) {
  if (bias && bias->defined()) {
    TORCH_CHECK(bias->dim() == 1 && bias->sym_size(0) == n && at::isFloatingType(bias->scalar_type()), op,
                ": expected 'bias' of floating point [", n, "], got ", bias->scalar_type(), " ", bias->sym_sizes());
    checkDevice(op, "bias", *bias, x.device());
  }
  c10::SymDimVector sizes(x.sym_sizes());
  sizes.back() = n;
  return at::empty_symint(sizes, x.options());
}

at::Tensor bq::activate(const at::Tensor &x, Activation activation) {
  switch (activation) {
  case Activation::None:
    break;
  case Activation::Relu:
    return at::relu(x);
  case Activation::Gelu:
    return at::gelu(x, "none");
  case Activation::GeluTanh:
    return at::gelu(x, "tanh");
  case Activation::Silu:
    return at::silu(x);
  }
  return x;
}

LinearArgs LinearRows::args(const LinearChoice &choice) const {
  LinearArgs args;
  args.dataType = elementType("bq", "x", x.scalar_type());
  args.m = x.size(0);
  args.x = x.const_data_ptr();
  args.xStride = args.m > 1 ? x.stride(0) : x.size(1);
  args.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  args.compute = choice.compute;
  args.activation = choice.activation;
  args.activationBits = choice.activationBits;
  args.activationScale = choice.activationBits ? choice.activationScale.const_data_ptr<float>() : nullptr;
  args.y = y.mutable_data_ptr();
  args.yStride = y.size(-1);
  return args;
}

at::Tensor bq::runLinear(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                         const LinearWeight &weight, const LinearChoice &choice) {
  const int64_t n = weight.n, k = weight.k;
  at::Tensor y = emptyLinearResult(op, x, bias, n);
  if (y.numel() == 0)
    return y;
  // A sum of nothing is zero.
  if (k == 0)
    return activate(bias && bias->defined() ? y.zero_().add_(*bias) : y.zero_(), choice.activation);
  LinearRows rows{x.dim() == 2 ? x : x.reshape({y.numel() / n, k}), {}, y};
  if ((k > 1 && rows.x.stride(1) != 1) || (rows.x.size(0) > 1 && rows.x.stride(0) < k))
    rows.x = rows.x.contiguous();
  if (bias && bias->defined())
    rows.bias = bias->to(at::kFloat).contiguous();
  if (x.is_cuda())
    gpu::linear(op, gpu::currentPlace(op, x.device()), rows, weight, choice);
  else
    check(op, backend(op).linear(*weight.prepacked(), rows.args(choice), parallelFor));
  return y;
}

at::Tensor bq::activationBackward(const at::Tensor &gradient, const at::Tensor &input, Activation activation) {
  switch (activation) {
  case Activation::None:
    break;
  case Activation::Relu:
    return at::threshold_backward(gradient, input, 0);
  case Activation::Gelu:
    return at::gelu_backward(gradient, input, "none");
  case Activation::GeluTanh:
    return at::gelu_backward(gradient, input, "tanh");
  case Activation::Silu:
    return at::silu_backward(gradient, input);
  }
  return gradient;
}

at::Tensor bq::emptyEmbeddingResult(const char *op, const at::Tensor &indices, const WeightTensors &weight, int64_t k) {
  TORCH_CHECK(indices.scalar_type() == at::kLong || indices.scalar_type() == at::kInt, op, ": 'indices' are ",
              indices.scalar_type(), ": use Long or Int");
  checkDevice(op, "indices", indices, weight.codes.device());
  c10::SymDimVector sizes(indices.sym_sizes());
  sizes.push_back(k);
  return at::empty_symint(sizes, weight.scales.options());
}

at::Tensor bq::runEmbedding(const char *op, const at::Tensor &indices, const WeightTensors &weight,
                            const Format &format, int64_t k) {
  at::Tensor y = emptyEmbeddingResult(op, indices, weight, k);
  if (y.numel() == 0)
    return y;
  at::Tensor flat = indices.to(at::kLong).contiguous();
  if (flat.is_cuda()) {
    gpu::embedding(op, gpu::currentPlace(op, flat.device()), flat, weight, format, k, y);
    return y;
  }
  BorrowedWeight borrowed = borrow(weight, format, k);
  check(op, backend(op).embedding(borrowed.view, flat.const_data_ptr<int64_t>(), flat.numel(), y.mutable_data_ptr(),
                                  parallelFor));
  return y;
}

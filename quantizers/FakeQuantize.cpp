// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/FakeQuantize.h"

#include "quantizers/Tensors.h"
#include "quantizers/cuda/GpuRows.h"
#include "quantizers/cuda/OnGpu.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/library.h>

#include <cmath>

using namespace bq;

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Gradients = std::tuple<Tensor, Tensor>;

namespace {

constexpr char forwardName[] = "bq::fake_quantize";
constexpr char backwardName[] = "bq::fake_quantize_backward";

/// What the kernels for devices and for meta tensors check alike.
struct Call {
  Format format;
  bool isPerRow; ///< x[i] has a scale of its own.

  Call(const char *op, const Tensor &x, const Tensor &scale, const OptionalTensor &zero, int64_t bits, bool isSigned) {
    elementType(op, "x", x.scalar_type());
    TORCH_CHECK(bits >= 1 && bits <= 8, op, ": 'bits' is ", bits, ": use 1 to 8");
    format.kind = !isSigned ? Format::Kind::UInt : bits == 1 ? Format::Kind::Sign : Format::Kind::Int;
    format.bits = static_cast<int>(bits);
    isPerRow = scale.sym_numel() != 1;
    TORCH_CHECK(!isPerRow || (scale.dim() == 1 && x.dim() >= 1 && scale.sym_size(0) == x.sym_size(0)), op,
                ": expected 'scale' of one element, or [", x.dim() ? x.sym_size(0) : c10::SymInt(1), "] for 'x' ",
                x.sym_sizes(), ", got ", scale.sym_sizes());
    TORCH_CHECK(at::isFloatingType(scale.scalar_type()), op, ": 'scale' is ", scale.scalar_type(),
                ": use a floating point type");
    checkDevice(op, "scale", scale, x.device());
    if (!zero || !zero->defined())
      return;
    TORCH_CHECK(format.kind != Format::Kind::Sign, op, ": 'zero' is given, but one signed bit has no zero point");
    TORCH_CHECK(zero->sym_numel() == scale.sym_numel() && !at::isComplexType(zero->scalar_type()), op,
                ": expected 'zero' of as many real numbers as 'scale' ", scale.sym_sizes(), ", got ",
                zero->scalar_type(), " ", zero->sym_sizes());
    checkDevice(op, "zero", *zero, x.device());
  }
};

/// Whether the elements of each x[i], or all of x, fill one piece of memory: their order in it does not matter then.
bool isDense(const Tensor &x, bool isPerRow) {
  if (!x.is_non_overlapping_and_dense())
    return false;
  return !isPerRow || x.size(0) <= 1 || x.stride(0) == x.numel() / x.size(0);
}

Tensor likeInMemory(const Tensor &tensor, const Tensor &other) {
  return tensor.strides() == other.strides() && tensor.scalar_type() == other.scalar_type()
             ? tensor
             : at::empty_like(other, at::MemoryFormat::Preserve).copy_(tensor);
}

/// A result that has the memory format of `given`, of which it was computed as `used`.
Tensor inFormatOf(const Tensor &given, const Tensor &used, const Tensor &result) {
  return used.is_same(given) ? result : at::empty_like(given, at::MemoryFormat::Preserve).copy_(result);
}

/// Arguments of the runtime, and what holds their memory.
struct Operands {
  Tensor x, scale, zero;
  FakeQuantizeArgs args;

  Operands(const char *op, const Call &call, const Tensor &given, const Tensor &givenScale,
           const OptionalTensor &givenZero)
      : x(isDense(given, call.isPerRow) ? given : given.contiguous()),
        scale(givenScale.to(at::kFloat).reshape({-1}).contiguous()) {
    args.format = call.format;
    args.dataType = elementType(op, "x", x.scalar_type());
    args.rows = call.isPerRow ? x.size(0) : 1;
    args.columns = args.rows ? x.numel() / args.rows : 0;
    args.x = x.const_data_ptr();
    args.scale = scale.const_data_ptr<float>();
    if (givenZero && givenZero->defined()) {
      zero = givenZero->to(at::kFloat).reshape({-1}).contiguous();
      args.zero = zero.const_data_ptr<float>();
    }
  }
};

Tensor forwardHere(const Tensor &x, const Tensor &scale, const OptionalTensor &zero, int64_t bits, bool isSigned) {
  Operands operands(forwardName, Call(forwardName, x, scale, zero, bits, isSigned), x, scale, zero);
  Tensor y = at::empty_like(operands.x, at::MemoryFormat::Preserve);
  operands.args.y = y.mutable_data_ptr();
  if (x.is_cuda())
    gpu::fakeQuantize(forwardName, gpu::currentPlace(forwardName, x.device()), operands.args);
  else
    check(forwardName, backend(forwardName).fakeQuantize(operands.args, parallelFor));
  return inFormatOf(x, operands.x, y);
}

Tensor forwardMeta(const Tensor &x, const Tensor &scale, const OptionalTensor &zero, int64_t bits, bool isSigned) {
  Call(forwardName, x, scale, zero, bits, isSigned);
  return at::empty_like(x, at::MemoryFormat::Preserve);
}

void checkGradient(const Tensor &gradient, const Tensor &x) {
  TORCH_CHECK(gradient.sym_sizes() == x.sym_sizes(), backwardName, ": expected 'gradient' ", x.sym_sizes(), ", got ",
              gradient.sym_sizes());
  checkDevice(backwardName, "gradient", gradient, x.device());
}

Gradients backwardHere(const Tensor &gradient, const Tensor &x, const Tensor &scale, const OptionalTensor &zero,
                       int64_t bits, bool isSigned) {
  const Call call(backwardName, x, scale, zero, bits, isSigned);
  checkGradient(gradient, x);
  const Operands operands(backwardName, call, x, scale, zero);
  const Tensor outer = likeInMemory(gradient, operands.x);
  Tensor xGradient = at::empty_like(operands.x, at::MemoryFormat::Preserve),
         scaleGradient = at::empty_like(operands.scale);
  FakeQuantizeGradArgs args{operands.args, outer.const_data_ptr(), xGradient.mutable_data_ptr(),
                            scaleGradient.mutable_data_ptr<float>()};
  if (x.is_cuda())
    scaleGradient = gpu::fakeQuantizeGrad(backwardName, gpu::currentPlace(backwardName, x.device()), args);
  else
    check(backwardName, backend(backwardName).fakeQuantizeGrad(args, parallelFor));
  const double terms = std::max<double>(1, static_cast<double>(operands.args.columns));
  scaleGradient.mul_(1 / std::sqrt(terms * call.format.greatestValue()));
  return {inFormatOf(x, operands.x, xGradient), scaleGradient.reshape(scale.sizes()).to(scale.scalar_type())};
}

Gradients backwardMeta(const Tensor &gradient, const Tensor &x, const Tensor &scale, const OptionalTensor &zero,
                       int64_t bits, bool isSigned) {
  Call(backwardName, x, scale, zero, bits, isSigned);
  checkGradient(gradient, x);
  return {at::empty_like(x, at::MemoryFormat::Preserve), at::empty_like(scale, at::MemoryFormat::Contiguous)};
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct FakeQuantizeFunction : torch::autograd::Function<FakeQuantizeFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &scale, const OptionalTensor &zero,
                        int64_t bits, bool isSigned) {
    context->saved_data["bits"] = bits;
    context->saved_data["is signed"] = isSigned;
    context->save_for_backward({x, scale, zero.value_or(Tensor())});
    at::AutoDispatchBelowADInplaceOrView guard;
    return fakeQuantize(x, scale, zero, bits, isSigned);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const variable_list saved = context->get_saved_variables();
    auto [x, scale] = fakeQuantizeBackward(
        gradients[0], saved[0], saved[1], saved[2].defined() ? OptionalTensor(saved[2]) : std::nullopt,
        context->saved_data["bits"].toInt(), context->saved_data["is signed"].toBool());
    return {x, scale, {}, {}, {}};
  }
};

Tensor forwardAutograd(const Tensor &x, const Tensor &scale, const OptionalTensor &zero, int64_t bits, bool isSigned) {
  for (const Tensor *tensor : {&x, &scale})
    TORCH_CHECK(!torch::autograd::isFwGradDefined(*tensor), forwardName,
                ": an input has a forward gradient: derivatives are in reverse mode only");
  TORCH_CHECK(!at::GradMode::is_enabled() || !zero || !zero->requires_grad(), forwardName,
              ": 'zero' requires a gradient: derivatives are with respect to x and scale only, so detach it");
  if (at::GradMode::is_enabled() && (x.requires_grad() || scale.requires_grad()))
    return FakeQuantizeFunction::apply(x, scale, zero, bits, isSigned);
  at::AutoDispatchBelowADInplaceOrView guard;
  return fakeQuantize(x, scale, zero, bits, isSigned);
}

} // namespace

Tensor bq::fakeQuantize(const Tensor &x, const Tensor &scale, const OptionalTensor &zero, int64_t bits, bool isSigned) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(forwardName, "").typed<decltype(forwardHere)>();
  return op.call(x, scale, zero, bits, isSigned);
}

Gradients bq::fakeQuantizeBackward(const Tensor &gradient, const Tensor &x, const Tensor &scale,
                                   const OptionalTensor &zero, int64_t bits, bool isSigned) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow(backwardName, "").typed<decltype(backwardHere)>();
  return op.call(gradient, x, scale, zero, bits, isSigned);
}

TORCH_LIBRARY_FRAGMENT(bq, m) {
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("fake_quantize(Tensor x, Tensor scale, Tensor? zero, int bits, bool is_signed=True) -> Tensor", tags);
  m.def("fake_quantize_backward(Tensor gradient, Tensor x, Tensor scale, Tensor? zero, int bits, bool is_signed=True) "
        "-> (Tensor, Tensor)",
        tags);
}

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("fake_quantize", forwardHere);
  m.impl("fake_quantize_backward", backwardHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("fake_quantize", forwardMeta);
  m.impl("fake_quantize_backward", backwardMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("fake_quantize", gpu::OnGpu<forwardHere, forwardName>::call);
  m.impl("fake_quantize_backward", gpu::OnGpu<backwardHere, backwardName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  m.impl("fake_quantize", forwardAutograd);
  m.impl("fake_quantize_backward", torch::autograd::autogradNotImplementedFallback());
}

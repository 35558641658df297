// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The formulas of activations, for the builders of kernels for CPUs and GPUs.
#ifndef BQ_PASSES_ACTIVATION_H
#define BQ_PASSES_ACTIVATION_H

#include "dialect/core/Types.h"
#include "passes/Passes.h"

namespace bq {

/// activation(x), with NaN kept. `constant` gives a number in the type of x: f32, or a vector of it.
template <typename Builder>
mlir::Value writeActivation(Builder &b, Activation kind, mlir::Value x,
                            llvm::function_ref<mlir::Value(float)> constant) {
  using namespace mlir;
  Value half = constant(0.5f), one = constant(1.0f);
  switch (kind) {
  case Activation::None:
    return x;
  case Activation::Relu: {
    Value negative = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, constant(0.0f));
    return b.select(negative, constant(0.0f), x);
  }
  case Activation::Gelu: {
    // x/2 (1 + erf(x / sqrt 2))
    Value erf = math::ErfOp::create(b, b.mulF(x, constant(0.70710678118654752f)));
    return b.mulF(b.mulF(x, half), b.addF(erf, one));
  }
  case Activation::GeluTanh: {
    // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    Value cube = b.mulF(b.mulF(x, x), x);
    Value inner = b.mulF(constant(0.79788456080286536f), b.fma(cube, constant(0.044715f), x));
    return b.mulF(b.mulF(x, half), b.addF(math::TanhOp::create(b, inner), one));
  }
  case Activation::Silu: {
    Value negated = arith::NegFOp::create(b, x);
    return b.divF(x, b.addF(math::ExpOp::create(b, negated), one));
  }
  }
  llvm_unreachable("every activation is listed");
}

} // namespace bq

#endif // BQ_PASSES_ACTIVATION_H

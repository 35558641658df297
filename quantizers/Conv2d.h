// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What bq::conv2d, bq::conv2d_packed and their gradients share: checks and calls of the backend.
#ifndef BQ_QUANTIZERS_CONV2D_H
#define BQ_QUANTIZERS_CONV2D_H

#include "quantizers/Conv2dSteps.h"
#include "quantizers/Export.h"
#include "quantizers/Linear.h"
#include "quantizers/WeightForms.h"
#include "runtime/Conv2dShape.h"

#include <functional>

namespace bq {

/// A convolution whose weight and steps fit each other; the images' sizes, which may be symbolic, are not part of it.
struct BQ_TORCH_API Conv2dCall {
  const char *op;
  at::DimVector weightShape; ///< [O, I / groups, kh, kw]
  std::array<int64_t, 2> stride, padding, dilation;
  int64_t groups;

  /// Throws where lists are too long, numbers out of range, or the weight does not divide into groups.
  Conv2dCall(const char *op, at::IntArrayRef weightShape, const Conv2dSteps &steps);

  int64_t n() const { return weightShape[0]; }
  int64_t k() const { return c10::multiply_integers(weightShape.begin() + 1, weightShape.end()); }
  WeightLayout layout() const {
    return {weightShape[2] * weightShape[3], groups,
            abi::isDirectConv2d(groups, n() / groups, weightShape[1], weightShape[3])};
  }
  /// For images x [B, C, H, W].
  Conv2dShape shape(at::IntArrayRef x) const;
};

/// An uninitialized result for x [B, C, H, W] or [C, H, W], on its device and in its memory format; sizes may be
/// symbolic. Throws where x or `bias` do not fit.
at::Tensor emptyConv2dResult(const Conv2dCall &call, const at::Tensor &x, const std::optional<at::Tensor> &bias);

/// The weight of a convolution, asked for in the form that is needed.
struct Conv2dWeight {
  std::function<std::shared_ptr<const GroupedWeight>()> grouped;       ///< For x's device.
  std::function<std::shared_ptr<const TransposedWeight>()> transposed; ///< On the CPU, where canTranspose().
  /// The weight [O, I / groups, kh, kw] in a type, on x's device.
  std::function<at::Tensor(at::ScalarType type)> dense;
  Format format;
};

/// activation(convolution of x [B, C, H, W] + bias) with the decoded weight by LibTorch, in the type of x, where there
/// is no kernel: in f32 without TF32 whatever LibTorch is set to, in bf16 of operands rounded to it. Throws for compute
/// i8 and i16.
BQ_TORCH_API at::Tensor conv2dByTorch(const Conv2dCall &call, const at::Tensor &x,
                                      const std::optional<at::Tensor> &bias, const Conv2dWeight &weight,
                                      const LinearChoice &choice);

/// y = activation(convolution of x + bias), in the type and memory format of x.
at::Tensor runConv2d(const Conv2dCall &call, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                     const Conv2dWeight &weight, const LinearChoice &choice);

/// The gradient with respect to x, given that of y [B, O, OH, OW], in its type, in the same way: without TF32 but in
/// bf16. `compute` is that of the forward call.
BQ_TORCH_API at::Tensor conv2dInputGradientByTorch(const Conv2dCall &call, const at::Tensor &gradient,
                                                   const Conv2dShape &shape, const Conv2dWeight &weight,
                                                   Compute compute);

/// An uninitialized gradient with respect to an x of `inputShape`, given that of y; sizes may be symbolic. Throws where
/// they do not fit.
at::Tensor emptyConv2dInputGradient(const Conv2dCall &call, const at::Tensor &gradient, at::SymIntArrayRef inputShape);
/// The gradient with respect to x, in the type and memory format of `gradient`. `compute` is that of the forward call;
/// i8 is i16 here.
at::Tensor runConv2dInputGradient(const Conv2dCall &call, const at::Tensor &gradient, at::IntArrayRef inputShape,
                                  const Conv2dWeight &weight, Compute compute);

} // namespace bq

#endif // BQ_QUANTIZERS_CONV2D_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/InputGradient.h"

#include "quantizers/Products.h"

using namespace bq;

using at::Tensor;

namespace {

uint8_t *elementAt(const Tensor &tensor, int64_t index) {
  return static_cast<uint8_t *>(tensor.mutable_data_ptr()) + index * static_cast<int64_t>(tensor.element_size());
}

/// What zero points add is taken off in f32, before the result is rounded to a shorter type.
Tensor asComputed(const Tensor &gradient, const TransposedWeight &weight) {
  return (weight.offset.defined() ? gradient.to(at::kFloat) : gradient).contiguous();
}

} // namespace

Compute bq::gradientCompute(Compute forward) { return forward == Compute::I8 ? Compute::I16 : forward; }

Tensor bq::linearInputGradient(const char *op, const Tensor &gradient, const TransposedWeight &weight,
                               Compute compute) {
  const Tensor dy = asComputed(gradient, weight);
  const int64_t m = dy.size(0), n = weight.n, k = weight.k;
  Tensor dx = at::empty({m, k}, dy.options());
  LinearArgs args;
  args.dataType = elementType(op, "gradient", dy.scalar_type());
  args.x = dy.const_data_ptr();
  args.m = m;
  args.xStride = n;
  args.compute = compute;
  args.yStride = k;
  forEachProduct(op, static_cast<int64_t>(weight.parts.size()), [&](int64_t i, ParallelFor parallel) {
    const TransposedWeight::Part &part = weight.parts[i];
    LinearArgs own = args;
    own.y = elementAt(dx, part.channel);
    return backend(op).linear(*part.weight, own, parallel);
  });
  if (weight.offset.defined()) {
    const Tensor parts = at::matmul(dy, weight.offset.flatten(1)); // [M, parts]
    dx.sub_(parts.repeat_interleave(weight.partChannels, 1).slice(1, 0, k));
  }
  if (weight.columns.defined())
    dx = at::empty_like(dx).index_copy_(1, weight.columns, dx);
  return dx.to(gradient.scalar_type());
}

Tensor bq::conv2dInputGradient(const char *op, const Tensor &gradient, const Conv2dShape &shape,
                               const TransposedWeight &weight, Compute compute) {
  const Tensor dy = asComputed(gradient, weight);
  Tensor dx = at::empty({shape.batch, shape.height, shape.width, shape.channels}, dy.options());
  const abi::Conv2dGeometry geometry = shape.inputGradient();
  LinearArgs args;
  args.dataType = elementType(op, "gradient", dy.scalar_type());
  args.m = geometry.pixels();
  args.geometry = &geometry;
  args.compute = compute;
  args.yStride = shape.channels;
  forEachProduct(op, static_cast<int64_t>(weight.parts.size()), [&](int64_t i, ParallelFor parallel) {
    const TransposedWeight::Part &part = weight.parts[i];
    LinearArgs own = args;
    own.x = elementAt(dy, part.group * shape.groupOutputs());
    own.y = elementAt(dx, part.channel);
    return backend(op).linear(*part.weight, own, parallel);
  });
  if (weight.offset.defined()) {
    const int64_t parts = weight.offset.size(2);
    const Tensor kernel =
        weight.offset.view({shape.outChannels, shape.kernel[0], shape.kernel[1], parts}).permute({0, 3, 1, 2});
    // [B, groups * parts, H, W]
    const Tensor taken = at::conv_transpose2d(dy.permute({0, 3, 1, 2}), kernel, {}, shape.stride, shape.padding,
                                              shape.rest(), shape.groups, shape.dilation);
    dx.view({shape.batch, shape.height, shape.width, -1, weight.partChannels})
        .sub_(taken.permute({0, 2, 3, 1}).unsqueeze(-1));
  }
  return dx.to(gradient.scalar_type());
}

void bq::depthwiseInputGradient(const char *op, const Tensor &gradient, const Conv2dShape &shape,
                                const GroupedWeight &weight, Compute compute, const Tensor &dx) {
  abi::Conv2dGeometry geometry = shape.inputGradient();
  geometry.groups = shape.groups;
  LinearArgs args;
  args.dataType = elementType(op, "gradient", gradient.scalar_type());
  args.x = gradient.const_data_ptr();
  args.m = geometry.pixels();
  args.geometry = &geometry;
  args.compute = compute;
  args.y = dx.mutable_data_ptr();
  args.yStride = shape.channels;
  check(op, backend(op).linear(*weight.products.front(), args, parallelFor));
}

Tensor bq::linearWeightGradient(const Tensor &gradient, const Tensor &x) {
  TORCH_CHECK(gradient.dim() >= 1 && x.dim() == gradient.dim() &&
                  gradient.sizes().slice(0, x.dim() - 1) == x.sizes().slice(0, x.dim() - 1),
              "linearWeightGradient: expected dy [..., N] and x [..., K] with the same rows, got ", gradient.sizes(),
              " and ", x.sizes());
  return at::matmul(gradient.reshape({-1, gradient.size(-1)}).t(), x.reshape({-1, x.size(-1)}));
}

Tensor bq::conv2dWeightGradient(const Tensor &gradient, const Tensor &x, at::IntArrayRef weightShape,
                                at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                                int64_t groups) {
  return std::get<1>(at::convolution_backward(gradient, x, at::empty(weightShape, x.options()), std::nullopt, stride,
                                              padding, dilation, /*transposed=*/false, /*output_padding=*/{0, 0},
                                              groups, {false, true, false}));
}

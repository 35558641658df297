// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The linear layer on a GPU.
#ifndef BQ_QUANTIZERS_CUDA_GPULINEAR_H
#define BQ_QUANTIZERS_CUDA_GPULINEAR_H

#include "quantizers/Linear.h"
#include "quantizers/Products.h"
#include "quantizers/WeightForms.h"
#include "quantizers/cuda/GpuWeight.h"
#include "quantizers/cuda/Place.h"
#include "runtime/Conv2dShape.h"

namespace bq::gpu {

/// Above so many rows sums in f32 and bf16 are LibTorch's, of the dequantized weight: a product is bound by
/// arithmetic then, and a weight that is read once costs little.
constexpr int64_t maxKernelRows = 256;

/// Above so many rows gradients in bf16 are LibTorch's in the same way: a kernel decodes the weight anew for each 16.
/// Those in f32 are LibTorch's above maxKernelRows, since it has no tensor instructions for them.
constexpr int64_t maxGradientRows = 64;

/// Above so many groups convolutions with a mixed weight in f32 and bf16 are LibTorch's. Groups of other formats are
/// taken together, or launches are as many, too.
constexpr int64_t maxMixedGroups = 32;

/// rows.y = activation(rows.x W^T + bias), put on the stream of `place`, which is not waited for. The weight is rounded
/// to bf16 where a sum in bf16 is LibTorch's, and table values are not rounded to 8 bits where a sum in i8 is;
/// otherwise sums mean the same whoever takes them. One of the format `mixed` is rounded to bf16 by kernels too, in
/// bf16 and i8, where x has more than cuda::maxStreamedRows rows or is images. A kernel that cannot be made is replaced
/// by LibTorch's product, with one warning. Throws for sums in i16, and where a kernel is missing while the stream is
/// captured into a graph.
BQ_TORCH_API void linear(const char *op, const Place &place, const LinearRows &rows, const LinearWeight &weight,
                         const LinearChoice &choice);

/// Whether kernels take gradients of m rows with respect to an input. Sums are in bf16 where the layer's are, in i8
/// where gradients are bf16, and else in f32. LibTorch's are many rows, mixed weights, and in f32 tables that are not
/// exact in bf16.
bool takesInputGradient(int64_t m, ElementType dataType, const Format &format, Compute forward);

/// rows.y = rows.x W in the same way, the gradient of a layer that computes in `forward` with respect to its input,
/// through the weight that the layer reads. Whether it was done: else nothing was written, it is LibTorch's, or there
/// is no kernel, and a warning has said so once.
BQ_TORCH_API bool linearInputGradient(const char *op, const Place &place, const LinearRows &rows,
                                      const LinearWeight &weight, Compute forward);

/// dx [B, C, H, W] from dy [B, O, OH, OW]: the gradients of the patches of all pixels of dy in the same
/// way, with the weight [O, taps * C] of the convolution, summed by LibTorch where patches meet. Not defined where that
/// is LibTorch's, or for several groups.
BQ_TORCH_API at::Tensor conv2dInputGradient(const char *op, const Place &place, const at::Tensor &dy,
                                            const Conv2dShape &shape, const LinearWeight &weight, Compute forward);

/// y = activation(convolution of x + bias) in the same way: products with `weight`, which makeGrouped() made for
/// `place`. Whether it was done: else nothing was written, there is no kernel, and a warning has said so once.
BQ_TORCH_API bool conv2d(const char *op, const Place &place, const GroupedProducts &products,
                         const GroupedWeight &weight);
/// Whether LibTorch takes a convolution of m pixels although kernels could be made: of a mixed weight also where groups
/// are so many that a launch for each takes longer. Throws for sums in i16.
BQ_TORCH_API bool isLeftToTorch(const char *op, int64_t m, int64_t groups, const Format &format, Compute compute);

/// What calls to come are like, besides their weight and their rows.
struct CallKind {
  LinearChoice choice;
  ElementType dataType = ElementType::F32;
  bool hasBias = false;
  bool inputGradient = false; ///< Gradients with respect to x follow them.
};

/// Compiles and loads, several at once, what linear() and linearInputGradient() will launch for x with these numbers of
/// rows on a weight that prepack() made for `place`. What fails is left to those, which say why.
BQ_TORCH_API void makeKernels(const Place &place, const PrepackedWeight &weight, const CallKind &calls,
                              at::IntArrayRef rows);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPULINEAR_H

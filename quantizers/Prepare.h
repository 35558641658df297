// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels made and loaded before they are needed: before the first request, or before a CUDA graph is captured.
#ifndef BQ_QUANTIZERS_PREPARE_H
#define BQ_QUANTIZERS_PREPARE_H

#include "quantizers/Export.h"
#include "quantizers/Modules.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/MpqLinear.h"

namespace bq {

/// What the calls to come are like, besides their numbers of rows.
struct PrepareOptions {
  Compute compute = Compute::F32;
  Activation activation = Activation::None;
  bool bias = false;
  at::ScalarType dtype = at::kFloat; ///< Of x.
  /// Of x; where not given, that of the weight's tensors.
  std::optional<at::Device> device;
  bool inputGradient = false; ///< x will require a gradient: what the way back takes is made, too.
};

/// Compiles and loads the kernels of PackedWeight::linear() for x with these numbers of rows, several at once for a
/// GPU, prepacks the weight, and runs each product once, on zeros, so that LibTorch too has what it needs. On a GPU the
/// current stream gets work, which is not waited for. What is left for a call on a stream that has not been used before
/// is memory of LibTorch's allocator. Throws as that linear(), and for a number of rows that is not positive.
BQ_TORCH_API void prepare(const PackedWeight &weight, at::IntArrayRef rows, const PrepareOptions &options = {});

/// The same for forward() of a layer, where it is, for x of type `dtype`, that of the scales where not given; of a
/// layer in training mode, which a new one is until eval(), for gradients with respect to x, too. What is prepacked is
/// found again as long as the layer's tensors are not changed and at most 1024 weights are used in turn.
BQ_TORCH_API void prepare(nn::QuantizedLinear layer, at::IntArrayRef rows,
                          std::optional<at::ScalarType> dtype = std::nullopt);
/// The same where packed weights train. They get no gradient here; each step on them prepacks them anew.
BQ_TORCH_API void prepare(nn::MPQLinear layer, at::IntArrayRef rows,
                          std::optional<at::ScalarType> dtype = std::nullopt);
/// The same for images of this size, [B, C, H, W] or [C, H, W].
BQ_TORCH_API void prepare(nn::QuantizedConv2d layer, at::IntArrayRef imageShape,
                          std::optional<at::ScalarType> dtype = std::nullopt);

} // namespace bq

#endif // BQ_QUANTIZERS_PREPARE_H

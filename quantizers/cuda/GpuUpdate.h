// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of optimizers on a GPU, and what becomes of gradients that are not finite there.
///
/// Nothing waits for a step. A look at the gradient comes before it on the same stream: where it finds NaN or infinity,
/// this step and all that follow on the stream change nothing, until the finding has been reported, which is an error
/// of the next call here that sees it, or of report(). Steps after that are taken again.
#ifndef BQ_QUANTIZERS_CUDA_GPUUPDATE_H
#define BQ_QUANTIZERS_CUDA_GPUUPDATE_H

#include "quantizers/Tensors.h"
#include "quantizers/cuda/Place.h"

#include <string>

namespace bq::gpu {

/// A step on the stream of `place`: `args` are in the memory of its device. Where args.gradientIsFinite, watch() has
/// looked at the gradient. `name` is the weight's in messages. Throws what report() does without waiting; for arguments
/// that do not fit; where there is no kernel; and while the stream is captured into a graph, if the step depends on its
/// number, which a graph would repeat.
BQ_TORCH_API void update(const char *op, const Place &place, const UpdateArgs &args, const std::string &name);

/// The look at the gradient alone: the steps that follow on the stream are taken only if all gradients are finite. Of
/// `args` the gradient, its type and its sizes are read. Throws what report() does without waiting.
BQ_TORCH_API void watch(const char *op, const Place &place, const UpdateArgs &args, const std::string &name);

/// Throws where a gradient on the stream was not finite and nobody has been told yet, and says which. With `waits`
/// after all that the stream has been given; without, if it is known by now.
BQ_TORCH_API void report(const char *op, const Place &place, bool waits);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUUPDATE_H

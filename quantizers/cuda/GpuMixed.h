// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of the format `mixed` on a GPU.
#ifndef BQ_QUANTIZERS_CUDA_GPUMIXED_H
#define BQ_QUANTIZERS_CUDA_GPUMIXED_H

#include "quantizers/Tensors.h"
#include "quantizers/cuda/GpuWeight.h"
#include "quantizers/cuda/Place.h"
#include "runtime/Backend.h"
#include "runtime/MixedStream.h"

#include <optional>

namespace bq::gpu {

/// Canonical codes on a device, and beside them the order of their groups and where each of them is. Usable from any
/// thread.
class BQ_TORCH_API GpuMixedWeight final : public PrepackedWeight {
public:
  /// `weight` is on the device of `place`, and has passed checkWeight(). Throws where the codes are damaged, and while
  /// the stream is captured into a graph: the widths of the groups come to the host.
  GpuMixedWeight(const char *op, const Place &place, const WeightTensors &weight, const Format &format, int64_t k);

  const Format &format() const override { return kind; }
  int64_t n() const override { return stream->weights() / columns; }
  int64_t k() const override { return columns; }
  int64_t bytes() const override {
    return static_cast<int64_t>(codes.nbytes() + scales.nbytes() + order.nbytes()) + (weight ? weight->bytes() : 0);
  }
  /// What kernels for products read; null where they cannot count its codes.
  const GpuWeight *products() const { return weight ? &*weight : nullptr; }

  /// All weights in the order of the stream, float [weights], on the stream of `place`, which is not waited for. Where
  /// there is no kernel they are made on the CPU, after one warning.
  at::Tensor values(const char *op, const Place &place) const;

private:
  void makeProducts(const Place &place, const uint8_t *head);

  Format kind;
  int64_t columns;
  std::optional<MixedStream> stream;
  at::Tensor codes, scales, order;
  std::optional<GpuWeight> weight;
  cuda::Stream home; ///< The stream that `order` was made on.
};

/// The codes of the stream that was planned for these widths, uint8 [groups] on the host, from a contiguous weight on
/// the device of `place`, on its stream, which is not waited for; with room behind them (withSlack()). `least` and
/// `greatest`: the weight's. Throws where there is no kernel.
BQ_TORCH_API at::Tensor quantizeMixed(const char *op, const Place &place, const at::Tensor &weight,
                                      const at::Tensor &widths, const MixedStream &stream, float least, float greatest);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUMIXED_H

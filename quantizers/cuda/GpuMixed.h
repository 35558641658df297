// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of the format `mixed` on a GPU.
#ifndef BQ_QUANTIZERS_CUDA_GPUMIXED_H
#define BQ_QUANTIZERS_CUDA_GPUMIXED_H

#include "quantizers/Tensors.h"
#include "quantizers/WeightForms.h"
#include "quantizers/cuda/GpuWeight.h"
#include "quantizers/cuda/Place.h"
#include "runtime/Backend.h"
#include "runtime/MixedStream.h"

#include <memory>
#include <optional>
#include <vector>

namespace bq::gpu {

/// Canonical codes on a device, and beside them where each of their groups is. Usable from any thread.
class BQ_TORCH_API GpuMixedWeight final : public PrepackedWeight {
public:
  /// `weight` is on the device of `place`, and has passed checkWeight(). There is a product for each group of `layout`,
  /// whose columns are patches where it has taps. Throws where the codes are damaged, and while the stream is captured
  /// into a graph: the widths of the groups come to the host.
  GpuMixedWeight(const char *op, const Place &place, const WeightTensors &weight, const Format &format, int64_t k,
                 const WeightLayout &layout = {});

  const Format &format() const override { return kind; }
  int64_t n() const override { return stream->weights() / columns; }
  int64_t k() const override { return columns; }
  int64_t bytes() const override {
    return static_cast<int64_t>(codes.nbytes() + scales.nbytes()) + (groups.empty() ? 0 : groups.front()->bytes());
  }
  /// What kernels for products read, of each group; empty where they cannot count its codes.
  const std::vector<std::shared_ptr<const GpuWeight>> &products() const { return groups; }

  /// All weights in the order of the stream, float [weights], on the stream of `place`, which is not waited for. Where
  /// there is no kernel they are made on the CPU, after one warning.
  at::Tensor values(const char *op, const Place &place) const;

private:
  void makeProducts(const Place &place, const uint8_t *head, const WeightLayout &layout);

  Format kind;
  int64_t columns;
  std::optional<MixedStream> stream;
  at::Tensor codes, scales, memory;
  std::optional<FragmentWeight> parts; ///< Where in `memory` things are, if there are products.
  std::vector<std::shared_ptr<const GpuWeight>> groups;
};

/// The codes of the stream that was planned for these widths, uint8 [groups] on the host, from a contiguous weight on
/// the device of `place`, on its stream, which is not waited for; with room behind them (withSlack()). `least` and
/// `greatest`: the weight's. Throws where there is no kernel.
BQ_TORCH_API at::Tensor quantizeMixed(const char *op, const Place &place, const at::Tensor &weight,
                                      const at::Tensor &widths, const MixedStream &stream, float least, float greatest);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUMIXED_H

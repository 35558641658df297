// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight prepacked in the memory of a GPU.
#ifndef BQ_QUANTIZERS_CUDA_GPUWEIGHT_H
#define BQ_QUANTIZERS_CUDA_GPUWEIGHT_H

#include "quantizers/Tensors.h"
#include "quantizers/WeightForms.h"
#include "quantizers/cuda/Place.h"
#include "runtime/cuda/CudaWeight.h"

#include <c10/core/Stream.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace bq::gpu {

/// Its memory is LibTorch's. Usable from any thread.
class BQ_TORCH_API GpuWeight final : public PrepackedWeight {
public:
  /// What `packed` describes, in `memory` on the device of `place`, where its stream writes it, if `isPrepacked`; else
  /// the memory holds nothing. `mixedCodes`: a tensor of what CudaWeight has under that name.
  GpuWeight(const FragmentWeight &packed, at::Tensor memory, bool isPrepacked, const Place &place,
            at::Tensor mixedCodes = {});

  const Format &format() const override { return weight.format(); }
  int64_t n() const override { return weight.n(); }
  int64_t k() const override { return weight.k(); }
  int64_t bytes() const override { return ownBytes; }

  const CudaWeight &kernels() const { return weight; }
  /// False where there was no kernel to prepack it: products are LibTorch's then.
  bool isPrepacked() const { return hasContent; }
  /// To be called before each use. A stream other than the one that the memory was written on waits for that one, and
  /// is made known to LibTorch's allocator, so that it does not give freed memory away before that stream is done.
  /// Throws where that would be to wait while the stream is captured into a graph.
  void use(const char *op, const Place &place) const;
  /// Waits until the memory has been written; use() has nothing to wait for then.
  void finish() const;
  /// At least `bytes` bytes of zeros for a call on the stream, which leaves zeros: the same for all calls on a stream,
  /// which run one after the other. Calls that go into a graph get memory of their own, since it may run beside others.
  at::Tensor counters(const char *op, const Place &place, int64_t bytes) const;

private:
  bool hasContent;
  int64_t ownBytes;
  at::Tensor memory, codes;
  cuda::Stream home;                     ///< The stream that `memory` was made on.
  std::optional<c10::Stream> homeStream; ///< As LibTorch has it, where the memory is on a GPU.
  mutable std::atomic<bool> isWritten{false};
  CudaWeight weight;
  mutable std::mutex mutex;
  mutable std::vector<std::pair<cuda::Stream, at::Tensor>> zeros; ///< Under the mutex.
};

/// Prepacks a weight, wherever it is, for `place`, on its stream, which is not waited for. Tensors that are on the
/// device stay there, but for a group index and a table, which the host reads. Throws while the stream is captured into
/// a graph.
BQ_TORCH_API std::shared_ptr<const PrepackedWeight>
prepack(const char *op, const Place &place, const WeightTensors &weight, const Format &format, int64_t k);

/// The products of a convolution (bq::makeGrouped()) in the same way. The host asks the device whether zero points are
/// codes.
BQ_TORCH_API std::shared_ptr<const GroupedWeight> makeGrouped(const char *op, const Place &place,
                                                              const WeightTensors &weight, const Format &format,
                                                              int64_t k, const WeightLayout &layout);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUWEIGHT_H

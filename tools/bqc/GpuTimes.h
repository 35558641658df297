// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The times of a linear layer on a GPU beside another way of doing it, and what follows from them.
#ifndef BQ_TOOLS_BQC_GPUTIMES_H
#define BQ_TOOLS_BQC_GPUTIMES_H

#include "codegen/KernelSpec.h"
#include "tools/bqc/CallGraph.h"
#include "tools/bqc/Measure.h"

#include <nlohmann/json.hpp>

namespace bq::cli {

/// One way of doing the layer; call i uses copy i % copies of its weight.
struct GpuContender {
  GpuCall call;
  int64_t copies = 1;
};

/// Microseconds of a call inside a CUDA graph.
struct GpuTimes {
  /// Each call with the copy of the weight that has not been used for the longest time, so that it comes from memory;
  /// else always the same one, which then comes from the L2 cache where that holds it.
  bool isFlushed = false;
  Samples kernel, torchBF16;
};

/// Both contenders in turn, `rounds` times after one that only warms up, so that a change of the GPU's speed meets
/// both.
Expected<GpuTimes> measureOnGpu(const CudaDevice &device, cuda::Stream stream, bool isFlushed, const GpuContender &ours,
                                const GpuContender &torchBF16, int rounds);

/// What is known of the layer besides.
struct GpuLayer {
  const KernelSpec *spec = nullptr;
  int64_t m = 0;
  int64_t weightBytes = 0;         ///< Of the canonical weight.
  double memoryBytesPerSecond = 0; ///< Of the GPU; 0 = not known.
};

/// The layer and figures of one GpuTimes: m, n, k, format, flushed, time_us, time_median_us, gb_per_s,
/// fraction_of_memory (null where not known), gop_per_s, torch_bf16_us, torch_bf16_median_us, torch_bf16_ratio, above 1
/// where LibTorch is slower.
nlohmann::ordered_json toJson(const GpuLayer &layer, const GpuTimes &times);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_GPUTIMES_H

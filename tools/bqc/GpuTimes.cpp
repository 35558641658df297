// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/GpuTimes.h"

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

/// Few enough to be recorded at once, enough for what is at a graph's ends not to count.
constexpr int64_t minCalls = 50;

static Expected<CallGraph> record(const CudaDevice &device, cuda::Stream stream, bool isFlushed,
                                  const GpuContender &contender) {
  if (!isFlushed)
    return CallGraph::record(device, stream, minCalls, [&](int64_t) { return contender.call(0); });
  // Each copy as often as the others.
  const int64_t turns = (minCalls + contender.copies - 1) / contender.copies;
  return CallGraph::record(device, stream, turns * contender.copies,
                           [&](int64_t i) { return contender.call(i % contender.copies); });
}

Expected<GpuTimes> cli::measureOnGpu(const CudaDevice &device, cuda::Stream stream, bool isFlushed,
                                     const GpuContender &ours, const GpuContender &torchBF16, int rounds) {
  Expected<CallGraph> own = record(device, stream, isFlushed, ours);
  if (!own)
    return own.error();
  Expected<CallGraph> other = record(device, stream, isFlushed, torchBF16);
  if (!other)
    return other.error();
  GpuTimes times;
  times.isFlushed = isFlushed;
  for (int round = -1; round < rounds; ++round)
    for (auto [graph, samples] : {std::pair(&*own, &times.kernel), std::pair(&*other, &times.torchBF16)}) {
      Expected<double> microseconds = graph->microseconds();
      if (!microseconds)
        return microseconds.error();
      if (round >= 0)
        samples->add(*microseconds);
    }
  return times;
}

Json cli::toJson(const GpuLayer &layer, const GpuTimes &times) {
  const KernelSpec &spec = *layer.spec;
  const double time = times.kernel.minimum(), other = times.torchBF16.minimum();
  const double rate = static_cast<double>(layer.weightBytes) / time * 1e6;
  Json json{{"m", layer.m},
            {"n", spec.n},
            {"k", spec.k},
            {"format", spec.format.str()},
            {"flushed", times.isFlushed},
            {"time_us", time},
            {"time_median_us", times.kernel.median()},
            {"gb_per_s", rate / 1e9},
            {"fraction_of_memory", nullptr},
            {"gop_per_s",
             2e-3 * static_cast<double>(layer.m) * static_cast<double>(spec.n) * static_cast<double>(spec.k) / time},
            {"torch_bf16_us", other},
            {"torch_bf16_median_us", times.torchBF16.median()},
            {"torch_bf16_ratio", other / time}};
  if (layer.memoryBytesPerSecond)
    json["fraction_of_memory"] = rate / layer.memoryBytesPerSecond;
  return json;
}

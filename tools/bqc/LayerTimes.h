// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A layer on the CPU measured beside LibTorch's: what linear layers and convolutions have in common.
#ifndef BQ_TOOLS_BQC_LAYERTIMES_H
#define BQ_TOOLS_BQC_LAYERTIMES_H

#include "tools/bqc/Arithmetic.h"
#include "tools/bqc/KernelTimes.h"
#include "tools/bqc/Measure.h"

#include <nlohmann/json.hpp>

#include <functional>

namespace bq::cli {

/// On LibTorch's threads.
void torchParallelFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

/// Microseconds that a call takes.
template <typename Function>
double microseconds(const Function &function) {
  const double start = now();
  function();
  return (now() - start) * 1e6;
}

/// Times in microseconds, `peak` in operations a second.
struct LayerTimes {
  Samples kernel, torchF32, torchBF16;
  double peak = 0;
  int64_t rounds = 0;
};

/// `operations`: of a call; `error`: the greatest, relative.
nlohmann::ordered_json layerJson(const LayerTimes &times, const KernelTimes &compile, const ArithmeticClass &arithmetic,
                                 double operations, double error);

/// Kernel, target and times, and at the end arithmetic, error and compilation.
void printLayerTimes(const nlohmann::ordered_json &layer);
void printLayerPeaks(const nlohmann::ordered_json &layer);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_LAYERTIMES_H

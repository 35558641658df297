// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What this machine can do: read bandwidth and arithmetic peaks, measured beside the kernels that are judged by them.
#ifndef BQ_TOOLS_BQC_MEASURE_H
#define BQ_TOOLS_BQC_MEASURE_H

#include "dialect/core/CpuTarget.h"
#include "dialect/core/Types.h"
#include "runtime/Backend.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bq::cli {

/// Seconds of a clock that never goes back.
double now();

/// Times of one thing, in the unit they were added in. Not for several threads at once.
class Samples {
public:
  void add(double value) { values.push_back(value); }
  bool empty() const { return values.empty(); }
  size_t size() const { return values.size(); }
  /// Both need at least one sample.
  double minimum() const;
  double median() const;

private:
  std::vector<double> values;
};

/// run(contender) for each in turn, in at least 8 rounds, at most 60, as fit into six seconds, after two that warm up;
/// their `milliseconds` get the times of the rest.
template <typename Contender, typename Run>
void interleave(std::vector<Contender> &contenders, Run run) {
  constexpr int minRounds = 8, maxRounds = 60;
  constexpr double seconds = 6;
  double start = 0;
  for (int round = -2; round < maxRounds && (round < minRounds || now() - start < seconds); ++round) {
    if (round == 0)
      start = now();
    for (Contender &contender : contenders) {
      const double begin = now();
      run(contender);
      if (round >= 0)
        contender.milliseconds.add((now() - begin) * 1e3);
    }
  }
}

/// The machine's read bandwidth: a vector sum over a buffer on 2 MiB pages (where the system grants them), larger than
/// any cache. It is read in parts, each timed by itself, so that a disturbance spoils one of them and not all.
class ReadMeasurement {
public:
  /// `size` is rounded up to whole parts. Throws std::bad_alloc.
  explicit ReadMeasurement(size_t size);
  ~ReadMeasurement();
  ReadMeasurement(const ReadMeasurement &) = delete;
  ReadMeasurement &operator=(const ReadMeasurement &) = delete;

  /// `threads` threads of `parallel` read all of the buffer once, in vectors as wide as the host has.
  void run(ParallelFor parallel, int threads);
  /// Bytes a second over the whole buffer, from the least time of each part. Needs one run().
  double best() const;

private:
  static constexpr size_t partSize = size_t{16} << 20;

  void *mapping = nullptr;
  size_t mappingSize = 0;
  const char *data = nullptr;
  std::vector<double> seconds; ///< Least for each part.
};

/// A class of arithmetic instructions: the fastest of `target` for a kind of sum of products.
struct ArithmeticClass {
  std::string_view name;           ///< Of the instruction, such as "vpdpbusd zmm".
  double operationsPerStep = 0;    ///< Multiplications and additions of one step().
  void (*step)(int64_t) = nullptr; ///< Does `count` steps of independent chains.
};

/// The class that kernels of this compute use on `target`: int8 dot product for i8 and i16, bf16 dot product, f32 FMA.
/// Where the target has no bf16 products, bf16 uses f32 FMA. The target must be one that this machine can run.
ArithmeticClass arithmeticClass(Compute compute, const CpuTarget &target);

/// Operations a second of a short burst (about 2 ms) of `threads` threads of `parallel`.
double measurePeak(const ArithmeticClass &arithmetic, ParallelFor parallel, int threads);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_MEASURE_H

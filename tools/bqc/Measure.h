// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Clocks, samples, and the read bandwidth of this machine, measured beside the kernels that are judged by it.
#ifndef BQ_TOOLS_BQC_MEASURE_H
#define BQ_TOOLS_BQC_MEASURE_H

#include "runtime/Backend.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bq::cli {

/// Seconds of a clock that never goes back.
double now();

/// Takes results, so that the work for them is not optimised away.
void consume(const uint64_t *results, int count);

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

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_MEASURE_H

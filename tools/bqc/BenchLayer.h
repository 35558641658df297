// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A random linear layer to be measured: weights in canonical form, copies that no cache holds, and the true result.
#ifndef BQ_TOOLS_BQC_BENCHLAYER_H
#define BQ_TOOLS_BQC_BENCHLAYER_H

#include "codegen/KernelSpec.h"
#include "runtime/Backend.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace bq::cli {

/// Random data of a linear layer, the same for equal specs: any codes, f16 scales, uint8 zero points, normal
/// activations. Groups of mixed have 2 to 8 bits, 4 in the mean.
class BenchLayer {
public:
  BenchLayer(const KernelSpec &spec, int64_t m);

  const KernelSpec &spec() const { return description; }
  int64_t rows() const { return m; }
  CanonicalWeight weight() const;
  /// Reads x() and bias; the result goes to y().
  LinearArgs args();
  const std::vector<float> &x() const { return input; }
  const std::vector<float> &y() const { return output; }
  const std::vector<float> &bias() const { return biasValues; }

  /// Canonical codes and zero points with f16 scales.
  int64_t weightBytes() const;
  /// W in float, by the reference backend.
  Expected<std::vector<float>> dequantized() const;
  /// The greatest error of y() on a few rows, against the reference, relative to the row's max|x| times the sum of |W|,
  /// plus |bias|.
  Expected<double> maxRelativeError(const std::vector<float> &dequantized) const;

private:
  void makeMixed();

  KernelSpec description;
  int64_t m;
  std::vector<uint8_t> codes, zeros;
  std::vector<uint16_t> scales;
  std::vector<float> range; ///< Least and greatest weight of mixed.
  std::vector<float> table, input, output, biasValues;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_BENCHLAYER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The layer that is measured, by LibTorch.
#ifndef BQ_TOOLS_BQC_TORCHLAYER_H
#define BQ_TOOLS_BQC_TORCHLAYER_H

#include "tools/bqc/BenchLayer.h"

#include <ATen/ATen.h>

#include <vector>

namespace bq::cli {

/// In one element type on one device, with several copies of its weight in turn.
class TorchLayer {
public:
  /// `weight` is that of the layer in float, [n, k]. All copies hold `bytes` bytes together, or a little more.
  TorchLayer(const BenchLayer &layer, const std::vector<float> &weight, at::ScalarType type, at::Device device,
             int64_t bytes);

  /// One call, with the next copy.
  void run() { run(next++ % weights.size()); }
  /// One call with this copy.
  void run(size_t copy);
  size_t copies() const { return weights.size(); }

private:
  at::Tensor x;
  std::optional<at::Tensor> bias;
  std::vector<at::Tensor> weights;
  Activation activation;
  size_t next = 0;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TORCHLAYER_H

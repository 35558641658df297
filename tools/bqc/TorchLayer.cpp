// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/TorchLayer.h"

#include "quantizers/Linear.h"

using namespace bq;
using namespace bq::cli;

TorchLayer::TorchLayer(const BenchLayer &layer, const std::vector<float> &weight, at::ScalarType type,
                       at::Device device, int64_t bytes)
    : activation(layer.spec().activation) {
  const int64_t n = layer.spec().n, k = layer.spec().k;
  const auto tensor = [&](const std::vector<float> &data, at::IntArrayRef sizes) {
    return at::from_blob(const_cast<float *>(data.data()), sizes, at::kFloat).to(device, type, false, true);
  };
  x = tensor(layer.x(), {layer.rows(), k});
  if (!layer.bias().empty())
    bias = tensor(layer.bias(), {n});
  weights.push_back(tensor(weight, {n, k}));
  for (int64_t held = weights[0].nbytes(); held < bytes; held += weights[0].nbytes())
    weights.push_back(weights[0].clone());
}

void TorchLayer::run(size_t copy) { activate(at::linear(x, weights[copy], bias), activation); }

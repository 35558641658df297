// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchGpu.h"

#include "quantizers/PackedWeight.h"
#include "quantizers/Prepare.h"
#include "runtime/cuda/CudaKernels.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/TorchLayer.h"

#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// More than the cache of any GPU holds.
constexpr int64_t rotatedBytes = int64_t{256} << 20;
/// Of weights, in turn; small ones stay in the cache.
constexpr int64_t maxCopies = 512;
/// In a round; few enough for the queue of a stream.
constexpr int64_t calls = 100;

/// Microseconds of a call on average, of some that follow each other on the GPU. Work before them keeps it busy
/// until all of them wait in its queue, so that the time is the GPU's alone.
template <typename Function>
double microsecondsPerCall(at::Device device, const at::Tensor &busy, Function call) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(at::kCUDA).getStream(device);
  c10::Event begin(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT), end(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
  at::mm(busy, busy);
  begin.record(stream);
  for (int64_t i = 0; i < calls; ++i)
    call();
  end.record(stream);
  end.synchronize();
  return begin.elapsedTime(end) * 1e3 / static_cast<double>(calls);
}

at::Tensor copied(const void *data, at::IntArrayRef shape, at::ScalarType type) {
  return at::from_blob(const_cast<void *>(data), shape, type).clone();
}

c10::intrusive_ptr<PackedWeight> packed(const BenchLayer &layer, at::Device device) {
  const CanonicalWeight weight = layer.weight();
  const int64_t n = weight.n, k = weight.k, groups = weight.format.groupCount(k);
  const at::DimVector scaleShape = weight.format.hasColumnScale() ? at::DimVector{n + k} : at::DimVector{n, groups};
  std::optional<at::Tensor> zeros;
  if (weight.table)
    zeros = copied(weight.table, {int64_t{1} << weight.format.bits}, at::kFloat).to(device);
  else if (weight.zeros)
    zeros = copied(weight.zeros, {n, groups}, at::kByte).to(device);
  return c10::make_intrusive<PackedWeight>(copied(weight.codes, {n, weight.format.rowBytes(k)}, at::kByte).to(device),
                                           copied(weight.scales, scaleShape, at::kHalf).to(device), zeros,
                                           weight.format, std::vector<int64_t>{n, k});
}

void printText(const Json &json) {
  const auto value = [&](const char *key) { return json[key].get<double>(); };
  fmt::print("kernel      {}\n", json["kernel"].get<std::string>());
  fmt::print("target      {}, {}\n", json["gpu"].get<std::string>(), json["target"].get<std::string>());
  fmt::print("time        {:.1f} us (median {:.1f})\n", value("time_us"), value("time_median_us"));
  fmt::print("torch bf16  {:.1f} us (median {:.1f}), {:.2f}x\n", value("torch_bf16_us"), value("torch_bf16_median_us"),
             value("torch_bf16_us") / value("time_us"));
  fmt::print("weights     {} at {:.1f} GB/s\n", sizeText(json["weight_bytes"].get<int64_t>()), value("gb_per_s"));
  fmt::print("arithmetic  {:.1f} GOP/s\n", value("gop_per_s"));
  fmt::print("error       {:.2e} of max|x| sum|W| + |bias|\n", value("max_rel_err"));
}

} // namespace

int cli::benchOnGpu(const BenchOptions &command, const KernelSpec &spec, at::Device device) {
  const Expected<CudaKernels *> kernels = CudaKernels::process();
  if (!kernels)
    return fail(kernels.error());
  const Expected<const CudaDevice *> gpu = (*kernels)->driver().device(device.index());
  if (!gpu)
    return fail(gpu.error());
  const Expected<CudaTarget> target = (*kernels)->target(**gpu);
  if (!target)
    return fail(target.error());

  const c10::InferenceMode inference;
  BenchLayer layer(spec, command.layer.m);
  const Expected<std::vector<float>> dequantized = layer.dequantized();
  if (!dequantized)
    return fail(dequantized.error());
  const int64_t m = layer.rows(), n = spec.n, k = spec.k;
  const at::Tensor x = copied(layer.x().data(), {m, k}, at::kFloat).to(device);
  std::optional<at::Tensor> bias;
  if (spec.hasBias)
    bias = copied(layer.bias().data(), {n}, at::kFloat).to(device);
  std::vector<c10::intrusive_ptr<PackedWeight>> weights;
  const int64_t copies = std::min(maxCopies, rotatedBytes / layer.weightBytes() + 1);
  for (int64_t copy = 0; copy < copies; ++copy) {
    weights.push_back(packed(layer, device));
    prepare(*weights.back(), {m}, {spec.compute, spec.activation, spec.hasBias, at::kFloat, device});
  }
  size_t next = 0;
  const auto call = [&] { return weights[next++ % weights.size()]->linear(x, bias, spec.compute, spec.activation); };
  const at::Tensor y = call().to(at::kCPU);
  std::memcpy(layer.args().y, y.const_data_ptr(), y.nbytes());
  const Expected<double> error = layer.maxRelativeError(*dequantized);
  if (!error)
    return fail(error.error());

  constexpr int warmUps = 2, rounds = 20;
  TorchLayer torch(layer, *dequantized, at::kBFloat16, device, std::min(rotatedBytes, maxCopies * n * k * 2));
  const at::Tensor busy = at::ones({6144, 6144}, at::device(device).dtype(at::kFloat));
  Samples ours, torchBF16;
  for (int round = -warmUps; round < rounds; ++round) {
    const double own = microsecondsPerCall(device, busy, call);
    const double other = microsecondsPerCall(device, busy, [&] { torch.run(); });
    if (round < 0)
      continue;
    ours.add(own);
    torchBF16.add(other);
  }

  const double time = ours.minimum();
  const Json json{{"op", "linear"},
                  {"m", m},
                  {"n", n},
                  {"k", k},
                  {"format", spec.format.str()},
                  {"compute", str(spec.compute)},
                  {"activation", str(spec.activation)},
                  {"bias", spec.hasBias},
                  {"device", "cuda"},
                  {"gpu", (*gpu)->name()},
                  {"target", target->str()},
                  {"kernel", spec.name()},
                  {"time_us", time},
                  {"time_median_us", ours.median()},
                  {"weight_bytes", layer.weightBytes()},
                  {"prepacked_bytes", weights[0]->prepacked(device)->bytes()},
                  {"rotated_weights", weights.size()},
                  {"gb_per_s", static_cast<double>(layer.weightBytes()) / time / 1e3},
                  {"gop_per_s", 2e-3 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / time},
                  {"torch_bf16_us", torchBF16.minimum()},
                  {"torch_bf16_median_us", torchBF16.median()},
                  {"max_rel_err", *error},
                  {"rounds", rounds}};
  if (command.output.json)
    fmt::print("{}\n", json.dump(2));
  else
    printText(json);
  return Done;
}

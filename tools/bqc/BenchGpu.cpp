// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchGpu.h"

#include "quantizers/PackedWeight.h"
#include "quantizers/Prepare.h"
#include "runtime/cuda/CudaKernels.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/GpuTimes.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchLayer.h"

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

/// Of weights, in turn: several times what the cache of any GPU holds.
constexpr int64_t rotatedBytes = int64_t{256} << 20;
/// More copies of a small weight would take long to make; it is then measured from the cache alone.
constexpr int64_t maxCopies = 4096;
constexpr int rounds = 20;

/// Work goes to a stream of LibTorch's that can be captured, until the end of the scope.
class StreamScope {
public:
  explicit StreamScope(at::Device device)
      : impl(at::kCUDA), stream(impl.getStreamFromGlobalPool(device)), before(impl.exchangeStream(stream)) {
    impl.synchronizeStream(before);
  }
  ~StreamScope() { impl.exchangeStream(before); }
  StreamScope(const StreamScope &) = delete;
  StreamScope &operator=(const StreamScope &) = delete;

  cuda::Stream handle() const { return stream.native_handle(); }
  void wait() const { impl.synchronizeStream(stream); }

private:
  const c10::impl::VirtualGuardImpl impl;
  const c10::Stream stream, before;
};

at::Tensor copied(const void *data, at::IntArrayRef shape, at::ScalarType type) {
  return at::from_blob(const_cast<void *>(data), shape, type).clone();
}

c10::intrusive_ptr<PackedWeight> packed(const BenchLayer &layer, at::Device device) {
  const CanonicalWeight weight = layer.weight();
  if (weight.format.isMixed())
    return c10::make_intrusive<PackedWeight>(copied(weight.codes, {weight.mixed.codeBytes}, at::kByte).to(device),
                                             copied(weight.scales, {2}, at::kFloat).to(device), std::nullopt,
                                             weight.format, std::vector<int64_t>{weight.n, weight.k});
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
  const auto number = [](const Json &value) { return value.get<double>(); };
  fmt::print("kernel      {}\n", json["kernel"].get<std::string>());
  fmt::print("target      {}, {}\n", json["gpu"].get<std::string>(), json["target"].get<std::string>());
  for (const Json &times : json["times"]) {
    fmt::print("{}\n", times["flushed"].get<bool>() ? "from memory" : "from the cache");
    fmt::print("  time        {:.1f} us (median {:.1f})\n", number(times["time_us"]), number(times["time_median_us"]));
    fmt::print("  torch bf16  {:.1f} us (median {:.1f}), {:.2f}x\n", number(times["torch_bf16_us"]),
               number(times["torch_bf16_median_us"]), number(times["torch_bf16_ratio"]));
    fmt::print("  weights     {} at {:.1f} GB/s", sizeText(json["weight_bytes"].get<int64_t>()),
               number(times["gb_per_s"]));
    if (times["flushed"].get<bool>() && !times["fraction_of_memory"].is_null())
      fmt::print(", {:.2f} of the memory's", number(times["fraction_of_memory"]));
    fmt::print("\n  arithmetic  {:.1f} GOP/s\n", number(times["gop_per_s"]));
  }
  fmt::print("error       {:.2e} of max|x| sum|W| + |bias|\n", number(json["max_rel_err"]));
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
  TorchLayer torch(layer, *dequantized, at::kBFloat16, device, std::min(rotatedBytes, maxCopies * n * k * 2));
  const StreamScope stream(device);
  const auto call = [&](int64_t copy) { return weights[copy]->linear(x, bias, spec.compute, spec.activation); };
  const at::Tensor y = call(0).to(at::kCPU);
  std::memcpy(layer.args().y, y.const_data_ptr(), y.nbytes());
  const Expected<double> error = layer.maxRelativeError(*dequantized);
  if (!error)
    return fail(error.error());

  const auto callOurs = [&](int64_t copy) {
    call(copy);
    return Status();
  };
  const auto callTorch = [&](int64_t copy) {
    torch.run(copy);
    return Status();
  };
  const GpuContender ours{callOurs, copies}, torchBF16{callTorch, static_cast<int64_t>(torch.copies())};
  // LibTorch sets up what it needs at first calls, which a capture would not survive.
  for (int64_t copy = 0; copy < std::max(ours.copies, torchBF16.copies); ++copy) {
    call(copy % ours.copies);
    torch.run(copy % torchBF16.copies);
  }
  stream.wait();
  Json times = Json::array();
  for (bool isFlushed : {true, false}) {
    if (isFlushed && copies * layer.weightBytes() < rotatedBytes)
      continue;
    const Expected<GpuTimes> measured = measureOnGpu(**gpu, stream.handle(), isFlushed, ours, torchBF16, rounds);
    if (!measured)
      return fail(measured.error());
    times.push_back(toJson({&spec, m, layer.weightBytes(), (*gpu)->memoryBytesPerSecond()}, *measured));
  }

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
                  {"weight_bytes", layer.weightBytes()},
                  {"prepacked_bytes", weights[0]->prepacked(device)->bytes()},
                  {"rotated_weights", weights.size()},
                  {"max_rel_err", *error},
                  {"rounds", rounds},
                  {"times", times}};
  return printResult(command.output, json, printText);
}

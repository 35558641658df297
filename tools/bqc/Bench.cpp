// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchConv2d.h"
#include "tools/bqc/BenchGpu.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/LayerSpec.h"
#include "tools/bqc/LayerTimes.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchCommands.h"
#include "tools/bqc/TorchLayer.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// More than any cache holds.
constexpr int64_t rotatedBytes = int64_t{256} << 20;
/// With few rows a layer is a stream over its weight, which in a model comes from memory at every call.
constexpr int64_t maxStreamedRows = bq::abi::maxExactRows;

/// Bytes of weights to go through in turn.
int64_t bytesFor(int64_t m) { return m <= maxStreamedRows ? rotatedBytes : 0; }

/// A layer, and its weight so often that no cache holds all of them.
class RotatedLayer {
public:
  static Expected<RotatedLayer> make(Backend &backend, const KernelSpec &spec, int64_t m) {
    RotatedLayer made(backend, spec, m);
    for (int64_t held = 0; made.weights.empty() || held < bytesFor(m); held += made.layer->weightBytes()) {
      Expected<std::shared_ptr<const PrepackedWeight>> weight = backend.prepack(made.layer->weight(), torchParallelFor);
      if (!weight)
        return weight.error();
      made.weights.push_back(std::move(*weight));
    }
    return made;
  }

  Status run() { return backend->linear(*weights[next++ % weights.size()], layer->args(), torchParallelFor); }
  /// Runs for 10 ms or more; adds the microseconds of each call.
  Status time(Samples &samples) {
    const double start = now();
    do {
      Status status;
      samples.add(microseconds([&] { status = run(); }));
      if (!status)
        return status;
    } while (now() - start < 0.01);
    return {};
  }

  std::unique_ptr<BenchLayer> layer;
  std::vector<std::shared_ptr<const PrepackedWeight>> weights;

private:
  RotatedLayer(Backend &backend, const KernelSpec &spec, int64_t m)
      : layer(std::make_unique<BenchLayer>(spec, m)), backend(&backend) {}

  Backend *backend;
  size_t next = 0;
};

/// The layer with 4 bits in every group.
KernelSpec evenSpec(const KernelSpec &spec) {
  KernelSpec even = spec;
  even.format = {Format::Kind::Int, 4, spec.format.group};
  even.scaleType = ElementType::F16;
  return even;
}

struct Measurements : LayerTimes {
  Samples even;        ///< Microseconds; of mixed: 4 bits in every group.
  double readRate = 0; ///< Bytes a second.
};

/// Everything in turn, round after round, so that a change of the machine's speed meets all of it.
Expected<Measurements> measure(RotatedLayer &kernel, RotatedLayer *even, const std::vector<float> &dequantized,
                               const ArithmeticClass &arithmetic, int threads) {
  constexpr int minRounds = 10, maxRounds = 200;
  constexpr double seconds = 4;
  ReadMeasurement reading(rotatedBytes);
  BenchLayer &layer = *kernel.layer;
  const int64_t bytes = bytesFor(layer.rows());
  TorchLayer torchF32(layer, dequantized, at::kFloat, at::kCPU, bytes),
      torchBF16(layer, dequantized, at::kBFloat16, at::kCPU, bytes);
  Measurements result;
  double start = 0;
  // The first two rounds only warm up.
  for (int round = -2; round < maxRounds && (round < minRounds || now() - start < seconds); ++round) {
    if (round == 0) {
      result = Measurements();
      start = now();
    }
    reading.run(torchParallelFor, threads);
    if (Status status = kernel.time(result.kernel); !status)
      return status.error();
    if (Status status = even ? even->time(result.even) : Status(); !status)
      return status.error();
    result.peak = std::max(result.peak, measurePeak(arithmetic, torchParallelFor, threads));
    result.torchF32.add(microseconds([&] { torchF32.run(); }));
    result.torchBF16.add(microseconds([&] { torchBF16.run(); }));
    ++result.rounds;
  }
  result.readRate = reading.best();
  return result;
}

void printText(const Json &json) {
  const auto value = [&](const char *key) { return json[key].get<double>(); };
  printLayerTimes(json);
  if (json.contains("even_us"))
    fmt::print("{:<10}  {:.1f} us (median {:.1f}), {:.2f}x; its weights {}\n", json["even_format"].get<std::string>(),
               value("even_us"), value("even_median_us"), value("even_us") / value("time_us"),
               sizeText(json["even_weight_bytes"].get<int64_t>()));
  fmt::print("weights     {} at {:.1f} GB/s, {:.2f} of {:.1f} GB/s read\n",
             sizeText(json["weight_bytes"].get<int64_t>()), value("gb_per_s"), value("fraction_of_read"),
             value("read_gb_per_s"));
  printLayerPeaks(json);
}

} // namespace

int cli::runBench(const BenchOptions &command) {
  if (command.layer.op == "conv2d")
    return benchConv2d(command);
  const Expected<KernelSpec> spec =
      parseLayer(command.layer, command.device == "cuda" ? Target(CudaTarget()) : Target(CpuTarget()));
  if (!spec)
    return failUsage(spec.error().message);
  const Expected<at::Device> device = openDevice(command.device);
  if (!device)
    return fail(device.error());
  if (device->is_cuda())
    return benchOnGpu(command, *spec, *device);
  if (command.threads)
    at::set_num_threads(command.threads);
  const int threads = at::get_num_threads();
  const Expected<CpuTarget> target = CpuTarget::fromEnvironment();
  if (!target)
    return fail(target.error());
  const Expected<Backend *> backend = cpuBackend();
  if (!backend)
    return fail(backend.error());
  const Expected<KernelTimes> times = measureKernelTimes(*spec);
  if (!times)
    return fail(times.error());

  const c10::InferenceMode inference;
  Expected<RotatedLayer> kernel = RotatedLayer::make(**backend, *spec, command.layer.m);
  if (!kernel)
    return fail(kernel.error());
  std::optional<RotatedLayer> even;
  if (spec->format.isMixed()) {
    Expected<RotatedLayer> made = RotatedLayer::make(**backend, evenSpec(*spec), command.layer.m);
    if (!made)
      return fail(made.error());
    even = std::move(*made);
  }
  const BenchLayer &layer = *kernel->layer;
  if (Status status = kernel->run(); !status)
    return fail(status.error());
  const Expected<std::vector<float>> dequantized = layer.dequantized();
  if (!dequantized)
    return fail(dequantized.error());
  const Expected<double> error = layer.maxRelativeError(*dequantized);
  if (!error)
    return fail(error.error());
  const ArithmeticClass arithmetic = arithmeticClass(spec->compute, *target);
  const Expected<Measurements> measured = measure(*kernel, even ? &*even : nullptr, *dequantized, arithmetic, threads);
  if (!measured)
    return fail(measured.error());

  const double time = measured->kernel.minimum();
  const double bytesPerSecond = static_cast<double>(layer.weightBytes()) / time * 1e6;
  const double operations =
      2.0 * static_cast<double>(layer.rows()) * static_cast<double>(spec->n) * static_cast<double>(spec->k);
  Json json{{"op", "linear"},
            {"m", layer.rows()},
            {"n", spec->n},
            {"k", spec->k},
            {"format", spec->format.str()},
            {"compute", str(spec->compute)},
            {"activation", str(spec->activation)},
            {"bias", spec->hasBias},
            {"device", "cpu"},
            {"threads", threads},
            {"target", target->str()},
            {"kernel", spec->name()},
            {"weight_bytes", layer.weightBytes()},
            {"prepacked_bytes", kernel->weights[0]->bytes()},
            {"rotated_weights", kernel->weights.size()},
            {"gb_per_s", bytesPerSecond / 1e9},
            {"read_gb_per_s", measured->readRate / 1e9},
            {"fraction_of_read", bytesPerSecond / measured->readRate}};
  json.update(layerJson(*measured, *times, arithmetic, operations, *error));
  if (even) {
    json["even_format"] = evenSpec(*spec).format.str();
    json["even_us"] = measured->even.minimum();
    json["even_median_us"] = measured->even.median();
    json["even_weight_bytes"] = even->layer->weightBytes();
  }
  return printResult(command.output, json, printText);
}

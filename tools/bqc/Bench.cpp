// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchConv2d.h"
#include "tools/bqc/BenchGpu.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/KernelTimes.h"
#include "tools/bqc/LayerSpec.h"
#include "tools/bqc/Measure.h"
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

void parallelFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  at::parallel_for(begin, end, grain, body);
}

template <typename Function>
double microseconds(const Function &function) {
  const double start = now();
  function();
  return (now() - start) * 1e6;
}

/// A layer, and its weight so often that no cache holds all of them.
class RotatedLayer {
public:
  static Expected<RotatedLayer> make(Backend &backend, const KernelSpec &spec, int64_t m) {
    RotatedLayer made(backend, spec, m);
    for (int64_t held = 0; made.weights.empty() || held < bytesFor(m); held += made.layer->weightBytes()) {
      Expected<std::shared_ptr<const PrepackedWeight>> weight = backend.prepack(made.layer->weight(), parallelFor);
      if (!weight)
        return weight.error();
      made.weights.push_back(std::move(*weight));
    }
    return made;
  }

  Status run() { return backend->linear(*weights[next++ % weights.size()], layer->args(), parallelFor); }
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

/// Times in microseconds, rates in operations or bytes a second.
struct Measurements {
  Samples kernel, torchF32, torchBF16;
  Samples even; ///< Of mixed: 4 bits in every group.
  double peak = 0, readRate = 0;
  int64_t rounds = 0;
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
    reading.run(parallelFor, threads);
    if (Status status = kernel.time(result.kernel); !status)
      return status.error();
    if (Status status = even ? even->time(result.even) : Status(); !status)
      return status.error();
    result.peak = std::max(result.peak, measurePeak(arithmetic, parallelFor, threads));
    result.torchF32.add(microseconds([&] { torchF32.run(); }));
    result.torchBF16.add(microseconds([&] { torchBF16.run(); }));
    ++result.rounds;
  }
  result.readRate = reading.best();
  return result;
}

void printText(const Json &json) {
  const auto value = [&](const char *key) { return json[key].get<double>(); };
  fmt::print("kernel      {}\n", json["kernel"].get<std::string>());
  fmt::print("target      {}, {} threads\n", json["target"].get<std::string>(), json["threads"].get<int>());
  fmt::print("time        {:.1f} us (median {:.1f})\n", value("time_us"), value("time_median_us"));
  fmt::print("torch f32   {:.1f} us (median {:.1f}), {:.2f}x\n", value("torch_f32_us"), value("torch_f32_median_us"),
             value("torch_f32_us") / value("time_us"));
  fmt::print("torch bf16  {:.1f} us (median {:.1f}), {:.2f}x\n", value("torch_bf16_us"), value("torch_bf16_median_us"),
             value("torch_bf16_us") / value("time_us"));
  if (json.contains("even_us"))
    fmt::print("{:<10}  {:.1f} us (median {:.1f}), {:.2f}x; its weights {}\n", json["even_format"].get<std::string>(),
               value("even_us"), value("even_median_us"), value("even_us") / value("time_us"),
               sizeText(json["even_weight_bytes"].get<int64_t>()));
  fmt::print("weights     {} at {:.1f} GB/s, {:.2f} of {:.1f} GB/s read\n",
             sizeText(json["weight_bytes"].get<int64_t>()), value("gb_per_s"), value("fraction_of_read"),
             value("read_gb_per_s"));
  fmt::print("arithmetic  {:.1f} GOP/s, {:.2f} of {:.1f} GOP/s ({})\n", value("gop_per_s"), value("fraction_of_peak"),
             value("peak_gop_per_s"), json["peak_instruction"].get<std::string>());
  fmt::print("error       {:.2e} of max|x| sum|W| + |bias|\n", value("max_rel_err"));
  fmt::print("compile     {:.1f} ms cold, {:.1f} ms with the compiler loaded, {:.2f} ms from disk\n",
             value("cold_compile_ms"), value("warm_compile_ms"), value("disk_load_ms"));
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
  const double operations = 2.0 * static_cast<double>(layer.rows()) * static_cast<double>(spec->n) *
                            static_cast<double>(spec->k) / time * 1e6;
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
            {"time_us", time},
            {"time_median_us", measured->kernel.median()},
            {"weight_bytes", layer.weightBytes()},
            {"prepacked_bytes", kernel->weights[0]->bytes()},
            {"rotated_weights", kernel->weights.size()},
            {"gb_per_s", bytesPerSecond / 1e9},
            {"read_gb_per_s", measured->readRate / 1e9},
            {"fraction_of_read", bytesPerSecond / measured->readRate},
            {"gop_per_s", operations / 1e9},
            {"peak_gop_per_s", measured->peak / 1e9},
            {"peak_instruction", arithmetic.name},
            {"fraction_of_peak", operations / measured->peak},
            {"torch_f32_us", measured->torchF32.minimum()},
            {"torch_f32_median_us", measured->torchF32.median()},
            {"torch_bf16_us", measured->torchBF16.minimum()},
            {"torch_bf16_median_us", measured->torchBF16.median()},
            {"max_rel_err", *error},
            {"cold_compile_ms", times->coldCompile},
            {"warm_compile_ms", times->warmCompile},
            {"disk_load_ms", times->diskLoad},
            {"rounds", measured->rounds}};
  if (even) {
    json["even_format"] = evenSpec(*spec).format.str();
    json["even_us"] = measured->even.minimum();
    json["even_median_us"] = measured->even.median();
    json["even_weight_bytes"] = even->layer->weightBytes();
  }
  return printResult(command.output, json, printText);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchConv2d.h"

#include "quantizers/Linear.h"
#include "runtime/Conv2dShape.h"
#include "tools/bqc/BenchLayer.h"
#include "tools/bqc/LayerSpec.h"
#include "tools/bqc/LayerTimes.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchLayer.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <random>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// The geometry of the products that a kernel of this spec does.
abi::Conv2dGeometry geometryOf(const KernelSpec &spec, const Conv2dShape &shape) {
  abi::Conv2dGeometry geometry = shape.forward();
  geometry.groups = spec.groups;
  return geometry;
}

/// Random images and weights; groups that are products of their own have equal weights.
class BenchConv2d {
public:
  BenchConv2d(const KernelSpec &spec, const Conv2dShape &shape)
      : shape(shape), geometry(geometryOf(spec, shape)), group(spec, /*m=*/1),
        x(shape.batch * shape.height * shape.width * shape.channels), y(geometry.pixels() * shape.outChannels) {
    std::mt19937_64 random(2);
    std::normal_distribution<float> normal;
    for (float &value : x)
      value = normal(random);
  }

  Status prepack(Backend &backend) {
    auto packed = backend.prepack(group.weight(), torchParallelFor);
    if (!packed)
      return packed.error();
    weight = std::move(*packed);
    return {};
  }

  /// Calls of the backend: one for each group, or one for all.
  int64_t products() const { return shape.groups / geometry.groups; }
  Status run(Backend &backend) {
    for (int64_t g = 0; g < products(); ++g)
      if (Status status = backend.linear(*weight, args(g, geometry, y.data()), torchParallelFor); !status)
        return status;
    return {};
  }

  /// The greatest error in the first and the last line of the first image, relative to max|x| times the sum of |W|,
  /// plus |bias|.
  Expected<double> maxRelativeError(const std::vector<float> &dequantized) const {
    const auto reference = referenceBackend().prepack(group.weight(), serialFor);
    if (!reference)
      return reference.error();
    const int64_t n = group.spec().n, k = shape.k(), width = geometry.outWidth;
    double greatest = 0, worst = 0;
    for (float value : x)
      greatest = std::max(greatest, std::fabs(static_cast<double>(value)));
    std::vector<float> expected(width * shape.outChannels);
    for (int64_t line = 0; line < geometry.outHeight; line += std::max<int64_t>(1, geometry.outHeight - 1)) {
      abi::Conv2dGeometry one = geometry;
      one.batch = one.outHeight = 1;
      one.offset[0] += line * one.multiply[0];
      LinearArgs exact = args(0, one, expected.data());
      exact.compute = Compute::F32;
      if (Status status = referenceBackend().linear(**reference, exact, serialFor); !status)
        return status.error();
      for (int64_t pixel = 0; pixel < width; ++pixel)
        for (int64_t i = 0; i < n; ++i) {
          double size = group.bias().empty() ? 0 : std::fabs(static_cast<double>(group.bias()[i]));
          for (int64_t column = 0; column < k; ++column)
            size += greatest * std::fabs(static_cast<double>(dequantized[i * k + column]));
          const int64_t at = pixel * shape.outChannels + i;
          const double got = y[line * width * shape.outChannels + at];
          worst = std::max(worst, std::fabs(got - expected[at]) / size);
        }
    }
    return worst;
  }

  const Conv2dShape shape;
  const abi::Conv2dGeometry geometry;
  const BenchLayer group;
  std::vector<float> x, y;
  std::shared_ptr<const PrepackedWeight> weight;

private:
  LinearArgs args(int64_t g, const abi::Conv2dGeometry &images, float *to) const {
    LinearArgs args;
    args.x = x.data() + g * shape.groupChannels();
    args.m = images.pixels();
    args.geometry = &images;
    args.bias = group.bias().empty() ? nullptr : group.bias().data();
    args.compute = group.spec().compute;
    args.activation = group.spec().activation;
    args.y = to + g * shape.groupOutputs();
    args.yStride = shape.outChannels;
    return args;
  }
};

/// The same by LibTorch, in memory with channels last.
class TorchConv2d {
public:
  TorchConv2d(const BenchConv2d &conv, const std::vector<float> &dequantized, at::ScalarType type)
      : shape(conv.shape), activation(conv.group.spec().activation) {
    const auto images = [&](const std::vector<float> &data, at::IntArrayRef sizes) {
      return at::from_blob(const_cast<float *>(data.data()), sizes, at::kFloat).permute({0, 3, 1, 2}).to(type);
    };
    x = images(conv.x, {shape.batch, shape.height, shape.width, shape.channels})
            .contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor group =
        images(dequantized, {conv.group.spec().n, shape.kernel[0], shape.kernel[1], shape.groupChannels()});
    weight = group.repeat({conv.products(), 1, 1, 1}).contiguous(at::MemoryFormat::ChannelsLast);
    if (!conv.group.bias().empty())
      bias = at::tensor(conv.group.bias()).repeat(conv.products()).to(type);
  }

  at::Tensor run() const {
    return activate(at::conv2d(x, weight, bias, shape.stride, shape.padding, shape.dilation, shape.groups), activation);
  }

private:
  const Conv2dShape &shape;
  Activation activation;
  at::Tensor x, weight;
  std::optional<at::Tensor> bias;
};

/// Everything in turn, round after round, so that a change of the machine's speed meets all of it.
Expected<LayerTimes> measure(Backend &backend, BenchConv2d &conv, const std::vector<float> &dequantized,
                             const ArithmeticClass &arithmetic, int threads) {
  constexpr int minRounds = 20, maxRounds = 300;
  constexpr double seconds = 3;
  const TorchConv2d torchF32(conv, dequantized, at::kFloat), torchBF16(conv, dequantized, at::kBFloat16);
  LayerTimes result;
  double start = 0;
  // The first two rounds only warm up.
  for (int round = -2; round < maxRounds && (round < minRounds || now() - start < seconds); ++round) {
    if (round == 0) {
      result = LayerTimes();
      start = now();
    }
    Status status;
    result.kernel.add(microseconds([&] { status = conv.run(backend); }));
    if (!status)
      return status.error();
    result.peak = std::max(result.peak, measurePeak(arithmetic, torchParallelFor, threads));
    result.torchF32.add(microseconds([&] { torchF32.run(); }));
    result.torchBF16.add(microseconds([&] { torchBF16.run(); }));
    ++result.rounds;
  }
  return result;
}

void printText(const Json &json) {
  printLayerTimes(json);
  printLayerPeaks(json);
}

/// The kernel that the runtime takes: a linear layer's where patches are pixels.
KernelSpec usedSpec(KernelSpec spec, const abi::Conv2dGeometry &geometry) {
  if (!isPointwise(geometry))
    return spec;
  spec.op = KernelSpec::Op::Linear;
  spec.kernelHeight = spec.kernelWidth = 0;
  spec.rows = abi::kernelRows(geometry.pixels());
  return spec;
}

Json describe(const BenchConv2d &conv, const KernelSpec &spec) {
  const Conv2dShape &s = conv.shape;
  return {{"op", "conv2d"},
          {"batch", s.batch},
          {"channels", s.channels},
          {"height", s.height},
          {"width", s.width},
          {"out_channels", s.outChannels},
          {"kernel_size", s.kernel},
          {"stride", s.stride},
          {"padding", s.padding},
          {"dilation", s.dilation},
          {"groups", s.groups},
          {"format", spec.format.str()},
          {"compute", str(spec.compute)},
          {"activation", str(spec.activation)},
          {"bias", spec.hasBias},
          {"kernel", spec.name()}};
}

} // namespace

int cli::benchConv2d(const BenchOptions &command) {
  const Expected<KernelSpec> spec = parseLayer(command.layer, CpuTarget());
  if (!spec)
    return failUsage(spec.error().message);
  const Conv2dShape shape = *parseConv2d(command.layer.conv);
  if (command.threads)
    at::set_num_threads(command.threads);
  const int threads = at::get_num_threads();
  const Expected<CpuTarget> target = CpuTarget::fromEnvironment();
  if (!target)
    return fail(target.error());
  const Expected<Backend *> backend = cpuBackend();
  if (!backend)
    return fail(backend.error());
  const KernelSpec used = usedSpec(*spec, geometryOf(*spec, shape));
  const Expected<KernelTimes> times = measureKernelTimes(used);
  if (!times)
    return fail(times.error());

  const c10::InferenceMode inference;
  BenchConv2d conv(*spec, shape);
  if (Status status = conv.prepack(**backend); !status)
    return fail(status.error());
  if (Status status = conv.run(**backend); !status)
    return fail(status.error());
  const Expected<std::vector<float>> dequantized = conv.group.dequantized();
  if (!dequantized)
    return fail(dequantized.error());
  const Expected<double> error = conv.maxRelativeError(*dequantized);
  if (!error)
    return fail(error.error());
  const ArithmeticClass arithmetic = arithmeticClass(spec->compute, *target);
  const Expected<LayerTimes> measured = measure(**backend, conv, *dequantized, arithmetic, threads);
  if (!measured)
    return fail(measured.error());

  const double operations =
      2.0 * static_cast<double>(conv.geometry.pixels() * shape.outChannels) * static_cast<double>(shape.k());
  Json json = describe(conv, used);
  json.update(
      {{"threads", threads}, {"target", target->str()}, {"weight_bytes", conv.products() * conv.group.weightBytes()}});
  json.update(layerJson(*measured, *times, arithmetic, operations, *error));
  return printResult(command.output, json, printText);
}

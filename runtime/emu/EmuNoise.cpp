// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuNoise.h"

#include "runtime/GpuNoise.h"
#include "runtime/emu/EmuMemory.h"

using namespace bq;
using namespace bq::emu;

/// What GpuNoise.h launches with; `buffers` is all of the memory that the kernel may use.
static auto launcher(const EmuKernel &kernel, const std::vector<Buffer> &buffers) {
  return [&kernel, &buffers](auto function, int64_t rows, auto... arguments) {
    return kernel.launch<decltype(function)>(0, rows, buffers, arguments...);
  };
}

static Buffer elements(const void *memory, int64_t count, ElementType type) {
  return {memory, static_cast<size_t>(count * sizeOf(type))};
}

Status emu::runDiffqNoise(EmuKernels &kernels, const DiffqNoiseArgs &args) {
  if (!args.count)
    return {};
  auto kernel = kernels.get(args.spec(KernelSpec::Op::DiffqNoise));
  if (!kernel)
    return kernel.error();
  const Buffer weight = elements(args.weight, args.count, args.dataType);
  std::vector<Buffer> buffers{{args.noisy, weight.bytes, true}, elements(args.bits, args.groups(), ElementType::F32)};
  if (args.noisy != args.weight)
    buffers.push_back(weight);
  return launchDiffqNoise(args, launcher(**kernel, buffers));
}

Status emu::runDiffqNoiseGrad(EmuKernels &kernels, const DiffqNoiseGradArgs &args) {
  const int64_t partBytes = args.chunks() * static_cast<int64_t>(sizeof(float));
  EmuMemory heads(partBytes), scaleParts(partBytes);
  if (args.count) {
    auto kernel = kernels.get(args.spec(KernelSpec::Op::DiffqNoiseGrad));
    if (!kernel)
      return kernel.error();
    const Buffer bits = elements(args.bits, args.groups(), ElementType::F32);
    const std::vector<Buffer> buffers{elements(args.gradient, args.count, args.dataType),
                                      bits,
                                      {args.bitsGradient, bits.bytes, true},
                                      heads.writable(),
                                      scaleParts.writable()};
    if (Status status =
            launchDiffqNoiseGrad(args, heads.data<float>(), scaleParts.data<float>(), launcher(**kernel, buffers));
        !status)
      return status;
  }
  args.finish(heads.data<float>(), scaleParts.data<float>());
  return {};
}

Status emu::runWeightRange(EmuKernels &kernels, const WeightRangeArgs &args) {
  auto kernel = kernels.get(args.spec());
  if (!kernel)
    return kernel.error();
  const int64_t partBytes = args.chunks() * static_cast<int64_t>(sizeof(float));
  EmuMemory lows(partBytes), highs(partBytes);
  const std::vector<Buffer> buffers{elements(args.weight, args.count, args.dataType), lows.writable(),
                                    highs.writable()};
  if (Status status = launchWeightRange(args, lows.data<float>(), highs.data<float>(), launcher(**kernel, buffers));
      !status)
    return status;
  return args.finish(lows.data<float>(), highs.data<float>());
}

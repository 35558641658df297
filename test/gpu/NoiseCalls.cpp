// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/NoiseCalls.h"

#include "runtime/cuda/CudaNoise.h"
#include "test/gpu/Operands.h"

#include <vector>

using namespace bq;
using namespace bq::test;

Status test::runDiffqNoise(const DeviceMemory &memory, CudaRows &rows, const DiffqNoiseArgs &args) {
  if (Status status = args.verify(); !status || !args.count)
    return status;
  Expected<const LoadedCudaKernel *> kernel = rows.kernel(args.spec(KernelSpec::Op::DiffqNoise), nullptr);
  if (!kernel)
    return kernel.error();
  const int64_t bytes = args.count * sizeOf(args.dataType);
  Operands operands(memory);
  DiffqNoiseArgs onDevice = args;
  onDevice.weight = operands.read(args.weight, bytes, sizeOf(args.dataType));
  onDevice.bits = operands.read(args.bits, args.groups() * 4, alignof(float));
  onDevice.noisy = operands.write(args.noisy, bytes, sizeOf(args.dataType));
  if (!operands.status())
    return operands.status();
  Status status = bq::runDiffqNoise(**kernel, onDevice, nullptr);
  return status ? operands.finish() : status;
}

Status test::runDiffqNoiseGrad(const DeviceMemory &memory, CudaRows &rows, const DiffqNoiseGradArgs &args) {
  if (Status status = args.verify(); !status)
    return status;
  std::vector<float> heads(args.chunks()), scaleParts(args.chunks());
  if (args.count) {
    Expected<const LoadedCudaKernel *> kernel = rows.kernel(args.spec(KernelSpec::Op::DiffqNoiseGrad), nullptr);
    if (!kernel)
      return kernel.error();
    Operands operands(memory);
    DiffqNoiseGradArgs onDevice = args;
    onDevice.gradient = operands.read(args.gradient, args.count * sizeOf(args.dataType), sizeOf(args.dataType));
    onDevice.bits = operands.read(args.bits, args.groups() * 4, alignof(float));
    onDevice.bitsGradient = operands.write(args.bitsGradient, args.groups() * 4, alignof(float));
    float *onHeads = operands.write(heads.data(), args.chunks() * 4, alignof(float));
    float *onScaleParts = operands.write(scaleParts.data(), args.chunks() * 4, alignof(float));
    if (!operands.status())
      return operands.status();
    if (Status status = bq::runDiffqNoiseGrad(**kernel, onDevice, onHeads, onScaleParts, nullptr); !status)
      return status;
    if (Status status = operands.finish(); !status)
      return status;
  }
  args.finish(heads.data(), scaleParts.data());
  return {};
}

Status test::runWeightRange(const DeviceMemory &memory, CudaRows &rows, const WeightRangeArgs &args) {
  if (Status status = args.verify(); !status)
    return status;
  Expected<const LoadedCudaKernel *> kernel = rows.kernel(args.spec(), nullptr);
  if (!kernel)
    return kernel.error();
  std::vector<float> lows(args.chunks()), highs(args.chunks());
  Operands operands(memory);
  WeightRangeArgs onDevice = args;
  onDevice.weight = operands.read(args.weight, args.count * sizeOf(args.dataType), sizeOf(args.dataType));
  float *onLows = operands.write(lows.data(), args.chunks() * 4, alignof(float));
  float *onHighs = operands.write(highs.data(), args.chunks() * 4, alignof(float));
  if (!operands.status())
    return operands.status();
  if (Status status = bq::runWeightRange(**kernel, onDevice, onLows, onHighs, nullptr); !status)
    return status;
  if (Status status = operands.finish(); !status)
    return status;
  return args.finish(lows.data(), highs.data());
}

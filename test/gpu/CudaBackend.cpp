// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/CudaBackend.h"

#include "dialect/core/CudaMixedAbi.h"
#include "runtime/LinearSpec.h"
#include "runtime/MixedPlaces.h"
#include "runtime/NotFinite.h"
#include "runtime/WeightParts.h"
#include "runtime/cuda/CudaRows.h"
#include "runtime/cuda/CudaUpdate.h"
#include "runtime/cuda/CudaWeight.h"
#include "runtime/emu/SortedRows.h"
#include "test/gpu/FakeQuantizeCalls.h"
#include "test/gpu/MixedCalls.h"
#include "test/gpu/NoiseCalls.h"
#include "test/gpu/Operands.h"

#include <algorithm>

using namespace bq;
using namespace bq::test;

namespace {

class HostWeight final : public PrepackedWeight {
public:
  HostWeight(const FragmentWeight &packed, DeviceBlock block, const CudaDevice &device, CudaKernels &kernels)
      : block(std::move(block)),
        onDevice(packed, device, this->block.data(), kernels,
                 packed.format().isMixed() ? static_cast<const uint8_t *>(this->block.data()) + packed.bytes()
                                           : nullptr) {}

  const Format &format() const override { return onDevice.format(); }
  int64_t n() const override { return onDevice.n(); }
  int64_t k() const override { return onDevice.k(); }
  int64_t bytes() const override { return static_cast<int64_t>(block.bytes()); }

  const DeviceBlock block;
  const CudaWeight onDevice;
};

/// Bytes from the first element of the first of `rows` rows to the last of the last.
int64_t extent(int64_t rows, int64_t columns, int64_t stride, ElementType type) {
  return ((rows - 1) * stride + columns) * sizeOf(type);
}

class CudaBackend final : public Backend, public MixedQuantizer {
public:
  CudaBackend(const DeviceMemory &memory, CudaKernels &kernels)
      : memory(memory), kernels(kernels), rows(memory.device(), kernels) {}

  std::string_view name() const override { return "cuda"; }

  Expected<std::shared_ptr<const PrepackedWeight>> prepack(const CanonicalWeight &weight, ParallelFor) override {
    if (Status status = weight.verify(); !status)
      return status.error();
    const bool isMixed = weight.format.isMixed();
    if (isMixed && weight.n)
      if (Status status = verifyPlaces(*MixedStream::parse(weight)); !status)
        return status.error();
    const FragmentWeight packed(weight);
    // Codes that stay as they are saved lie behind the rest.
    const int64_t codeBytes = isMixed ? weight.mixed.codeBytes + cuda::mixedSlack : 0;
    Expected<DeviceBlock> block = DeviceBlock::allocate(memory, static_cast<size_t>(packed.bytes() + codeBytes));
    if (!block)
      return block.error();
    if (isMixed)
      if (Status status = memory.copyIn(static_cast<uint8_t *>(block->data()) + packed.bytes(), weight.codes,
                                        static_cast<size_t>(weight.mixed.codeBytes));
          !status)
        return status.error();
    if (packed.n())
      if (Status status = prepack(weight, packed, static_cast<uint8_t *>(block->data())); !status)
        return status.error();
    return std::shared_ptr<const PrepackedWeight>(
        std::make_shared<HostWeight>(packed, std::move(*block), memory.device(), kernels));
  }

  Status linear(const PrepackedWeight &weight, const LinearArgs &args, ParallelFor) override {
    auto *packed = dynamic_cast<const HostWeight *>(&weight);
    if (!packed)
      return invalidArgument("the weight was not prepacked by the cuda backend");
    const int64_t n = weight.n(), k = weight.k();
    if (Status status = args.verify(n, k); !status || !args.m || !n)
      return status;
    Expected<const LoadedCudaKernel *> kernel = packed->onDevice.kernel(args, nullptr);
    if (!kernel)
      return kernel.error();
    const int64_t inputs = args.isGradient ? n : k, outputs = args.isGradient ? k : n;
    // Kernels take rows that begin at any element.
    constexpr size_t alignment = 16;
    Operands operands(memory);
    LinearArgs onDevice = args;
    const int64_t bytesOfX = args.geometry ? imageElements(*args.geometry, k) * sizeOf(args.dataType)
                                           : extent(args.m, inputs, args.xStride, args.dataType);
    onDevice.x = operands.read(args.x, bytesOfX, alignment);
    onDevice.activationScale = operands.read(args.activationScale, args.activationScale ? sizeof(float) : 0);
    onDevice.y = operands.write(args.y, extent(args.m, outputs, args.yStride, args.dataType), alignment);
    onDevice.bias = operands.read(args.bias, n * 4);
    const LinearMemoryBytes bytes = packed->onDevice.memoryBytes(**kernel, args.m);
    std::vector<int32_t> counters(bytes.counters / 4);
    const LinearMemory extra{operands.fill(bytes.panel, 0xff), operands.fill(bytes.workspace, 0xff),
                             operands.write(counters.data(), bytes.counters)};
    if (!operands.status())
      return operands.status();
    if (Status status = packed->onDevice.linear(**kernel, onDevice, extra, nullptr); !status)
      return status;
    if (Status status = operands.finish(); !status)
      return status;
    if (std::any_of(counters.begin(), counters.end(), [](int32_t counter) { return counter != 0; }))
      return internalError("kernel " + (*kernel)->kernel().artifact().name +
                           " leaves a counter that is not 0, as it must be for the next launch");
    return {};
  }

  Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                   ParallelFor parallel) override {
    if (Status status = weight.verify(); !status)
      return status;
    if (Status status = verifyIndices(weight, indices, count, y); !status || !count)
      return status;
    if (weight.format.isMixed())
      return embedMixed(memory, rows, weight, indices, count, static_cast<float *>(y));
    if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
      return sorted(weight, columns, indices, count, y, parallel);
    Operands operands(memory);
    const CudaRowWeight onDevice = copy(weight, operands);
    const int64_t *chosen = operands.read(indices, count * 8);
    void *values = operands.write(y, count * weight.k * sizeOf(weight.scaleType));
    if (!operands.status())
      return operands.status();
    Status status = rows.embedding(onDevice, chosen, count, values, nullptr);
    return status ? operands.finish() : status;
  }

  Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel) override {
    if (Status status = weight.verify(); !status || !weight.n)
      return status;
    if (!y)
      return invalidArgument("y is null: the weight has " + std::to_string(weight.n) + " rows");
    if (weight.format.isMixed())
      return dequantizeMixed(memory, rows, weight, static_cast<float *>(y));
    if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
      return sorted(weight, columns, nullptr, weight.n, y, parallel);
    Operands operands(memory);
    const CudaRowWeight onDevice = copy(weight, operands);
    void *values = operands.write(y, weight.n * weight.k * sizeOf(weight.scaleType));
    if (!operands.status())
      return operands.status();
    Status status = rows.dequantize(onDevice, values, nullptr);
    return status ? operands.finish() : status;
  }

  Status quantize(const QuantizeArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status || !args.n)
      return status;
    const int64_t groups = args.n * args.format.groupCount(args.k);
    Operands operands(memory);
    QuantizeArgs onDevice = args;
    onDevice.weight = operands.read(args.weight, extent(args.n, args.k, args.stride, args.dataType));
    onDevice.codes = operands.write(args.codes, args.n * args.format.rowBytes(args.k));
    // For sign only codes are written.
    onDevice.scales =
        args.format.hasColumnScale() ? nullptr : operands.write(args.scales, groups * sizeOf(args.scaleType));
    onDevice.zeros = operands.write(args.zeros, groups);
    if (!operands.status())
      return operands.status();
    Status status = rows.quantize(onDevice, nullptr);
    return status ? operands.finish() : status;
  }

  Status fakeQuantize(const FakeQuantizeArgs &args, ParallelFor) override {
    return runFakeQuantize(memory, rows, args);
  }
  Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, ParallelFor) override {
    return runFakeQuantizeGrad(memory, rows, args);
  }

  Status update(const UpdateArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status || !args.n)
      return status;
    Expected<const LoadedCudaKernel *> kernel = rows.kernel(gpuUpdateSpec(args), nullptr);
    if (!kernel)
      return kernel.error();
    // As LibTorch's memory is.
    constexpr size_t alignment = 16;
    Operands operands(memory);
    UpdateArgs onDevice = args;
    onDevice.gradient = operands.read(args.gradient, args.n * args.k * sizeOf(args.dataType), alignment);
    forEachState(onDevice, [&](auto *&pointer, int64_t bytes) { pointer = operands.write(pointer, bytes, alignment); });
    // A ticket that any place can be taken from again.
    constexpr int64_t ticket = int64_t{1} << 62;
    int64_t found = 0, report = 0;
    const GradientReport reports{operands.write(&found, sizeof(found)), operands.write(&report, sizeof(report)),
                                 ticket};
    void *extra = operands.fill(updateMemoryBytes(args, (*kernel)->kernel().artifact().scratchBytes), 0xff);
    if (!operands.status())
      return operands.status();
    if (!args.gradientIsFinite)
      if (Status status = checkGradient(**kernel, onDevice, reports, nullptr); !status)
        return status;
    if (Status status = runUpdate(**kernel, onDevice, reports.found, extra, nullptr); !status)
      return status;
    if (Status status = operands.finish(); !status)
      return status;
    return report ? notFinite(report - ticket, args.packed ? args.k : 0) : Status();
  }

  Status diffqNoise(const DiffqNoiseArgs &args, ParallelFor) override { return runDiffqNoise(memory, rows, args); }
  Status diffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor) override {
    return runDiffqNoiseGrad(memory, rows, args);
  }
  Status weightRange(const WeightRangeArgs &args, ParallelFor) override { return runWeightRange(memory, rows, args); }

  Status quantizeMixed(const MixedQuantizeArgs &args) override { return test::quantizeMixed(memory, rows, args); }

private:
  /// To `target` on the device, whose bytes are all ones before.
  Status prepack(const CanonicalWeight &weight, const FragmentWeight &packed, uint8_t *target) {
    const std::vector<uint8_t> ones(packed.bytes(), 0xff);
    if (Status status = memory.copyIn(target, ones.data(), ones.size()); !status)
      return status;
    if (const FragmentWeight::Part &constants = packed.constants)
      if (Status status =
              memory.copyIn(target + constants.offset, packed.constantBytes().data(), packed.constantBytes().size());
          !status)
        return status;
    const Format &format = weight.format;
    if (format.isMixed())
      return {};
    const int64_t groups = weight.n * format.groupCount(weight.k);
    Operands operands(memory);
    CanonicalWeight onDevice = weight;
    onDevice.codes = operands.read(weight.codes, weight.n * format.rowBytes(weight.k));
    onDevice.scales = operands.read(weight.scales, (format.hasColumnScale() ? weight.n + weight.k : groups) *
                                                       sizeOf(weight.scaleType));
    onDevice.zeros = operands.read(weight.zeros, groups * zeroPointBytes(weight.zeroType));
    if (!operands.status())
      return operands.status();
    Status status = rows.prepack(onDevice, packed, target, nullptr);
    return status ? operands.finish() : status;
  }

  static CudaRowWeight copy(const CanonicalWeight &weight, Operands &operands) {
    const Format &format = weight.format;
    const int64_t groups = weight.n * (format.hasColumnScale() ? 1 : format.groupCount(weight.k));
    const std::vector<float> table = emu::repeatedTable(weight), columnScale = columnScaleOf(weight);
    CudaRowWeight onDevice;
    onDevice.format = format;
    onDevice.n = weight.n;
    onDevice.k = weight.k;
    onDevice.codes = operands.read(weight.codes, weight.n * format.rowBytes(weight.k));
    onDevice.scales = operands.read(weight.scales, groups * sizeOf(weight.scaleType));
    onDevice.scaleType = weight.scaleType;
    onDevice.zeros = operands.read(weight.zeros, groups * zeroPointBytes(weight.zeroType));
    onDevice.zeroType = weight.zeroType;
    onDevice.table = operands.read(table.data(), static_cast<int64_t>(table.size()) * 4);
    onDevice.columnScale = operands.read(columnScale.data(), static_cast<int64_t>(columnScale.size()) * 4);
    return onDevice;
  }

  Status sorted(const CanonicalWeight &weight, const std::vector<int32_t> &columns, const int64_t *indices,
                int64_t count, void *y, ParallelFor parallel) {
    return emu::dequantizeSorted(weight, columns, indices, count, y, [&](const CanonicalWeight &inOrder, void *values) {
      return dequantize(inOrder, values, parallel);
    });
  }

  const DeviceMemory memory;
  CudaKernels &kernels;
  CudaRows rows;
};

} // namespace

Expected<Backend *> bq::cudaBackend() {
  static Expected<CudaBackend *> backend = []() -> Expected<CudaBackend *> {
    Expected<CudaKernels *> kernels = CudaKernels::process();
    if (!kernels)
      return kernels.error();
    Expected<const CudaDevice *> device = (*kernels)->driver().device(0);
    if (!device)
      return device.error();
    Expected<DeviceMemory> memory = DeviceMemory::open(**device);
    if (!memory)
      return memory.error();
    return new CudaBackend(*memory, **kernels);
  }();
  if (!backend)
    return backend.error();
  return *backend;
}

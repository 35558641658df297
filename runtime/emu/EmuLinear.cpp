// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuLinear.h"

#include "runtime/LinearSpec.h"

#include "dialect/core/CudaAbi.h"

using namespace bq;
using namespace bq::emu;

std::vector<Buffer> emu::rowBuffers(const void *data, int64_t count, int64_t rowBytes, int64_t strideBytes,
                                    bool writable) {
  if (rowBytes == strideBytes)
    return {{data, static_cast<size_t>(count * rowBytes), writable}};
  std::vector<Buffer> rows;
  for (int64_t row = 0; row < count; ++row)
    rows.push_back({static_cast<const uint8_t *>(data) + row * strideBytes, static_cast<size_t>(rowBytes), writable});
  return rows;
}

namespace {

class LinearCall {
public:
  LinearCall(const EmuKernel &kernel, const EmuWeight &weight, const LinearArgs &args)
      : kernel(kernel), artifact(kernel.artifact()), weight(weight), args(args), m(static_cast<int32_t>(args.m)),
        elementBytes(sizeOf(args.dataType)),
        panel(artifact.rowMajorColumns * args.m * (args.compute == Compute::I8 ? 1 : 2)),
        rowScales(args.compute == Compute::I8 ? args.m * 4 : 0),
        input(rowBuffers(args.x, args.m, weight.k() * elementBytes, args.xStride * elementBytes, /*writable=*/false)) {}

  Status run() {
    if (hasPanel())
      if (Status status = prepare(); !status)
        return status;
    return multiply();
  }

private:
  bool hasPanel() const { return artifact.rowMajorColumns > 0; }

  Status prepare() {
    std::vector<Buffer> buffers = input;
    buffers.insert(buffers.end(), {weight.permutation.readable(), weight.columnScale.readable(), panel.writable(),
                                   rowScales.writable()});
    return kernel.launch<cuda::PrepareFn>(0, m, buffers, args.x, weight.permutation.data<int32_t>(),
                                          weight.columnScale.data<float>(), panel.data<void>(), rowScales.data<float>(),
                                          args.xStride, m);
  }

  Status multiply() {
    const size_t index = artifact.gpuKernels.size() - 1;
    const GpuKernel &gpu = artifact.gpuKernels[index];
    const bool isSplit = artifact.splits > 1;
    EmuMemory workspace(isSplit ? artifact.splits * m * weight.n() * 4 : 0);
    const std::vector<int32_t> zeros(isSplit ? (m + gpu.rowsPerBlock - 1) / gpu.rowsPerBlock * gpu.gridY : 0);
    EmuMemory counters(zeros.data(), static_cast<int64_t>(zeros.size() * 4));

    std::vector<Buffer> buffers =
        rowBuffers(args.y, m, weight.n() * elementBytes, args.yStride * elementBytes, /*writable=*/true);
    buffers.insert(buffers.end(), {weight.codes.readable(), weight.scales.readable(), weight.zeros.readable(),
                                   weight.table.readable(), workspace.writable(), counters.writable()});
    if (args.bias)
      buffers.push_back({args.bias, static_cast<size_t>(weight.n() * 4), /*writable=*/false});
    if (hasPanel()) {
      buffers.insert(buffers.end(), {panel.readable(), rowScales.readable()});
    } else {
      buffers.insert(buffers.end(), {weight.permutation.readable(), weight.columnScale.readable()});
      buffers.insert(buffers.end(), input.begin(), input.end());
    }
    Status status = kernel.launch<cuda::LinearFn>(
        index, m, buffers, weight.codes.data<void>(), weight.scales.data<void>(), weight.zeros.data<void>(),
        weight.table.data<cuda::WeightTable>(), args.bias, hasPanel() ? panel.data<void>() : args.x,
        rowScales.data<float>(), weight.permutation.data<int32_t>(), weight.columnScale.data<float>(), args.y,
        workspace.data<float>(), counters.data<int32_t>(), args.xStride, args.yStride, m);
    if (!status)
      return status;
    for (size_t i = 0; i < zeros.size(); ++i)
      if (int32_t left = counters.data<int32_t>()[i])
        return internalError(gpu.entry + " leaves " + std::to_string(left) + " in counter " + std::to_string(i) +
                             ", which must be 0 for the next launch");
    return {};
  }

  const EmuKernel &kernel;
  const Artifact &artifact;
  const EmuWeight &weight;
  const LinearArgs &args;
  const int32_t m;
  const int64_t elementBytes;
  EmuMemory panel, rowScales;
  const std::vector<Buffer> input;
};

} // namespace

Status emu::runLinear(EmuKernels &kernels, const EmuWeight &weight, const LinearArgs &args) {
  const FragmentWeight &fragments = weight.fragments;
  const KernelSpec spec = linearSpec(weight.format(), weight.n(), weight.k(), fragments.scaleType(),
                                     fragments.zeroType(), static_cast<bool>(fragments.permutation), args);
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(spec);
  if (!kernel)
    return kernel.error();
  const Artifact &artifact = (*kernel)->artifact();
  if (artifact.layout != fragments.layout().str())
    return internalError("kernel " + artifact.name + " reads the layout '" + artifact.layout +
                         "', but the weight is packed as '" + fragments.layout().str() + "'");
  return LinearCall(**kernel, weight, args).run();
}

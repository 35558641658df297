// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuLinear.h"

#include "runtime/LinearSpec.h"

#include "dialect/core/CudaAbi.h"

#include <algorithm>
#include <tuple>

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

/// Patches that are prepared at once: few, so that small tests have several panels.
constexpr int64_t panelPatches = 96;

/// The images of a convolution, as one buffer.
Buffer imageBuffer(const LinearArgs &args, int64_t k) {
  const int64_t elements = imageElements(*args.geometry, k);
  return {args.x, static_cast<size_t>(elements * sizeOf(args.dataType)), /*writable=*/false};
}

/// EmuKernel::launch() of a function of type Fn with PatchArguments behind its own.
template <typename Fn, typename... Args>
Status launchPatches(const EmuKernel &kernel, size_t index, int64_t rows, const std::vector<Buffer> &buffers,
                     const abi::Conv2dGeometry &geometry, int64_t firstRow, Args... args) {
  const cuda::PatchArguments patches = cuda::patchArguments(geometry, firstRow);
  auto launch = [&](auto... arguments) {
    return kernel.launch<typename cuda::WithPatches<Fn>::Fn>(index, rows, buffers, arguments...);
  };
  return std::apply(launch, std::tuple_cat(std::make_tuple(args...), patches.strides, patches.numbers));
}

class LinearCall {
public:
  LinearCall(const KernelSpec &spec, const EmuKernel &kernel, const EmuWeight &weight, const LinearArgs &args)
      : kernel(kernel), artifact(kernel.artifact()), weight(weight), args(args),
        hasPanel(artifact.rowMajorColumns > 0 && !areRowsPrepared(spec, artifact, args)),
        elementBytes(sizeOf(args.dataType)), partColumns(workspaceColumns(spec)),
        panelRows(args.geometry ? std::min(args.m, panelPatches) : args.m),
        panel(artifact.rowMajorColumns * panelRows * artifact.rowMajorBytes),
        rowScales(args.compute == Compute::I8 ? panelRows * 4 : 0),
        input(args.geometry ? std::vector<Buffer>{imageBuffer(args, weight.k())}
                            : rowBuffers(args.x, args.m, (args.isGradient ? weight.n() : weight.k()) * elementBytes,
                                         args.xStride * elementBytes, /*writable=*/false)) {
    if (args.activationScale)
      input.push_back({args.activationScale, sizeof(float), /*writable=*/false});
  }

  Status run() {
    if (!hasPanel)
      return multiply(0, args.m);
    for (int64_t first = 0; first < args.m; first += panelRows) {
      const int64_t m = std::min(panelRows, args.m - first);
      if (Status status = prepare(first, m); !status)
        return status;
      if (Status status = multiply(first, m); !status)
        return status;
    }
    return {};
  }

private:
  Status prepare(int64_t first, int64_t m) {
    std::vector<Buffer> buffers = input;
    buffers.insert(buffers.end(), {weight.permutation.readable(), weight.columnScale.readable(), panel.writable(),
                                   rowScales.writable()});
    auto launch = [&](auto... arguments) {
      if (args.geometry)
        return launchPatches<cuda::PrepareFn>(kernel, 0, m, buffers, *args.geometry, first, arguments...);
      return kernel.launch<cuda::PrepareFn>(0, m, buffers, arguments...);
    };
    return launch(args.x, weight.permutation.data<int32_t>(), weight.columnScale.data<float>(), args.activationScale,
                  panel.data<void>(), rowScales.data<float>(), args.xStride, static_cast<int32_t>(m));
  }

  Status multiply(int64_t first, int64_t m) {
    const size_t index = artifact.gpuKernels.size() - 1;
    const GpuKernel &gpu = artifact.gpuKernels[index];
    const bool isSplit = artifact.splits > 1;
    EmuMemory workspace(isSplit ? artifact.splits * m * partColumns * 4 : 0);
    const std::vector<int32_t> zeros(isSplit ? (m + gpu.rowsPerBlock - 1) / gpu.rowsPerBlock * gpu.gridY : 0);
    EmuMemory counters(zeros.data(), static_cast<int64_t>(zeros.size() * 4));

    void *y = static_cast<uint8_t *>(args.y) + first * args.yStride * elementBytes;
    std::vector<Buffer> buffers =
        rowBuffers(y, m, (args.isGradient ? weight.k() : weight.n()) * elementBytes, args.yStride * elementBytes,
                   /*writable=*/true);
    buffers.insert(buffers.end(), {weight.codes.readable(), weight.scales.readable(), weight.zeros.readable(),
                                   weight.table.readable(), workspace.writable(), counters.writable()});
    if (args.bias)
      buffers.push_back({args.bias, static_cast<size_t>(weight.n() * 4), /*writable=*/false});
    if (hasPanel) {
      buffers.insert(buffers.end(), {panel.readable(), rowScales.readable()});
    } else {
      buffers.insert(buffers.end(), {weight.permutation.readable(), weight.columnScale.readable()});
      buffers.insert(buffers.end(), input.begin(), input.end());
    }
    auto launch = [&](auto... arguments) {
      if (args.geometry && !hasPanel)
        return launchPatches<cuda::LinearFn>(kernel, index, m, buffers, *args.geometry, first, arguments...);
      return kernel.launch<cuda::LinearFn>(index, m, buffers, arguments...);
    };
    Status status = launch(weight.codes.data<void>(), weight.scales.data<void>(), weight.zeros.data<void>(),
                           weight.table.data<cuda::WeightTable>(), args.bias, hasPanel ? panel.data<void>() : args.x,
                           rowScales.data<float>(), weight.permutation.data<int32_t>(),
                           weight.columnScale.data<float>(), y, workspace.data<float>(), counters.data<int32_t>(),
                           hasPanel ? artifact.rowMajorColumns : args.xStride, args.yStride, static_cast<int32_t>(m));
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
  const bool hasPanel;
  const int64_t elementBytes, partColumns, panelRows;
  EmuMemory panel, rowScales;
  std::vector<Buffer> input;
};

} // namespace

Status emu::runLinear(EmuKernels &kernels, const EmuWeight &weight, const LinearArgs &given) {
  if (Status status = verifyPatches(given); !status)
    return status;
  const LinearArgs args = withoutPointwise(given);
  const FragmentWeight &fragments = weight.fragments;
  const KernelSpec spec = linearSpec(weight.format(), weight.n(), weight.k(), fragments.scaleType(),
                                     fragments.zeroType(), static_cast<bool>(fragments.permutation),
                                     /*columnFactors=*/false, args.geometry ? 0 : cuda::kernelRows(args.m), args);
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(spec);
  if (!kernel)
    return kernel.error();
  const Artifact &artifact = (*kernel)->artifact();
  if (artifact.layout != fragments.layout().str())
    return internalError("kernel " + artifact.name + " reads the layout '" + artifact.layout +
                         "', but the weight is packed as '" + fragments.layout().str() + "'");
  return LinearCall(spec, **kernel, weight, args).run();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuLinear.h"

#include "runtime/Conv2dShape.h"
#include "runtime/LinearSpec.h"

#include <algorithm>
#include <atomic>
#include <vector>

using namespace bq;

namespace {

/// Rows that one panel holds at most, and bytes where that leaves rows enough to pay for unpacking the weight anew.
constexpr int64_t maxPanelRows = 4096;
constexpr int64_t minPanelRows = 256;
constexpr int64_t maxPanelBytes = int64_t{32} << 20;
/// Products, and converted activations, for which a thread is worth waking: a few microseconds of work.
constexpr int64_t productsPerThread = int64_t{1} << 18;
constexpr int64_t conversionsPerThread = int64_t{1} << 15;
/// Products of a convolution with small groups, each of which reads its activation from the cache.
constexpr int64_t directProductsPerThread = int64_t{1} << 16;

/// Bytes of a panel of patches, which stays in the cache near the core, and what its rows are a multiple of: a block of
/// rows that meets weights decoded once.
constexpr int64_t maxPatchBytes = int64_t{128} << 10;
constexpr int64_t patchRowMultiple = 96;

CpuWeight::CallKey callKey(const LinearArgs &args, int rows) {
  const uint32_t call = static_cast<uint32_t>(args.dataType) | static_cast<uint32_t>(args.compute) << 4 |
                        static_cast<uint32_t>(args.activation) << 8 | (args.bias ? 1u : 0u) << 12 |
                        static_cast<uint32_t>(args.activationBits) << 16 | static_cast<uint32_t>(rows) << 20;
  const abi::Conv2dGeometry *g = args.geometry;
  return {call, g ? g->kernelHeight : 0, g ? g->kernelWidth : 0, g ? g->groups : 1};
}

/// The kernel for a call that this weight has not seen yet.
Expected<const Kernel *> findKernel(const CpuWeight &weight, const LinearArgs &args, int rows, KernelCache &cache) {
  const CompileRequest request{linearSpec(weight.format(), weight.n(), weight.k(), weight.scaleType(),
                                          weight.zeroType(), weight.permutation() != nullptr, weight.hasColumnFactors(),
                                          rows, args),
                               weight.target(), /*schedule=*/""};
  Expected<std::shared_ptr<const Kernel>> kernel = cache.get(request);
  if (!kernel)
    return kernel.error();
  const Artifact &artifact = (*kernel)->artifact();
  if (artifact.layout != weight.layout().str())
    return internalError("kernel " + artifact.name + " reads the layout '" + artifact.layout +
                         "', but the weight is packed as '" + weight.layout().str() + "'");
  weight.kernels().add(callKey(args, rows), *kernel);
  return kernel->get();
}

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Memory for the rows that are converted together.
struct PanelMemory {
  /// `rows` is a multiple of artifact.rowMultiple.
  static Expected<PanelMemory> take(const Artifact &artifact, int64_t rows) {
    const size_t dataBytes = roundUp(rows * artifact.panelDataBytes, AlignedBuffer::alignment);
    const size_t sumBytes = roundUp(rows * artifact.panelSums * 4, AlignedBuffer::alignment);
    Expected<ScratchLease> lease =
        ScratchLease::take(ScratchLease::Kind::Panel, dataBytes + sumBytes + rows * sizeof(float));
    if (!lease)
      return lease.error();
    return PanelMemory{std::move(*lease), dataBytes, dataBytes + sumBytes};
  }

  void *data() const { return lease.data(); }
  void *sums() const { return lease.data() + sumOffset; }
  float *scales() const { return reinterpret_cast<float *>(lease.data() + scaleOffset); }

  ScratchLease lease;
  size_t sumOffset, scaleOffset;
};

/// A layer on its kernel.
class Call {
public:
  Call(const CpuWeight &weight, const LinearArgs &args, const Kernel &kernel)
      : weight(weight), args(args), kernel(kernel), artifact(kernel.artifact()) {}

  /// Rows are converted together, then tasks are blocks of rows of the weight.
  Status runRows(ParallelFor parallel) {
    // Panels of equal size, as few as hold all rows.
    int64_t most = maxPanelRows;
    if (artifact.panelDataBytes)
      most = std::min(most, std::max(minPanelRows, maxPanelBytes / artifact.panelDataBytes));
    const int64_t panels = (args.m + most - 1) / most;
    const int64_t panelRows = roundUp((args.m + panels - 1) / panels, artifact.rowMultiple);
    Expected<PanelMemory> panel = PanelMemory::take(artifact, panelRows);
    if (!panel)
      return panel.error();
    for (int64_t first = 0; first < args.m; first += panelRows) {
      const int64_t m = std::min(panelRows, args.m - first), paddedRows = roundUp(m, artifact.rowMultiple);
      // Asked of the scheduler only where there is work for two threads.
      int64_t grain = std::max<int64_t>(1, conversionsPerThread / weight.k());
      if (paddedRows <= grain)
        prepare(*panel, first, m, 0, paddedRows);
      else
        parallel(0, paddedRows, grain, [&](int64_t begin, int64_t end) { prepare(*panel, first, m, begin, end); });
      const int64_t products = std::max<int64_t>(1, weight.n() * weight.k() / artifact.tasks * m);
      grain = std::max<int64_t>(1, productsPerThread / products);
      if (artifact.tasks <= grain)
        multiply(*panel, first, m, 0, artifact.tasks);
      else
        parallel(0, artifact.tasks, grain, [&](int64_t begin, int64_t end) { multiply(*panel, first, m, begin, end); });
    }
    return result();
  }

  /// Patches are many, and rows of the weight few: tasks are panels of patches, each with all of the weight.
  Status runPatches(ParallelFor parallel) {
    int64_t panelRows = std::max(maxPatchBytes / artifact.panelDataBytes / patchRowMultiple, int64_t{1});
    panelRows = roundUp(std::min(panelRows * patchRowMultiple, args.m), artifact.rowMultiple);
    const int64_t panels = (args.m + panelRows - 1) / panelRows;
    auto run = [&](int64_t begin, int64_t end) {
      Expected<PanelMemory> panel = PanelMemory::take(artifact, panelRows);
      if (!panel) {
        outOfMemory = true;
        return;
      }
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * panelRows, m = std::min(panelRows, args.m - first);
        prepare(*panel, first, m, 0, roundUp(m, artifact.rowMultiple));
        multiply(*panel, first, m, 0, artifact.tasks);
      }
    };
    const int64_t grain = std::max<int64_t>(1, productsPerThread / (weight.n() * weight.k() * panelRows));
    if (panels <= grain)
      run(0, panels);
    else
      parallel(0, panels, grain, run);
    return result();
  }

  /// All groups of a convolution: tasks are output lines, for one piece of the channels after the other.
  Status runDirect(ParallelFor parallel) {
    const abi::Conv2dGeometry &g = *args.geometry;
    const int64_t lines = g.batch * g.outHeight;
    auto run = [&](int64_t begin, int64_t end) {
      Expected<ScratchLease> scratch = ScratchLease::take(ScratchLease::Kind::Linear, artifact.scratchBytes);
      if (!scratch) {
        outOfMemory = true;
        return;
      }
      kernel.directConv2d()(weight.codes(), weight.scales(), weight.zeros(), weight.table(), weight.columnScale(),
                            args.bias, args.x, args.geometry, args.activationScale, args.y, scratch->data(),
                            args.yStride, begin, end);
    };
    const int64_t tasks = artifact.tasks * lines, products = g.outWidth * weight.n() * weight.k() / artifact.tasks;
    const int64_t grain = std::max<int64_t>(1, directProductsPerThread / std::max<int64_t>(1, products));
    if (tasks <= grain)
      run(0, tasks);
    else
      parallel(0, tasks, grain, run);
    return result();
  }

private:
  void prepare(const PanelMemory &panel, int64_t first, int64_t m, int64_t begin, int64_t end) {
    Expected<ScratchLease> scratch = ScratchLease::take(ScratchLease::Kind::Prepare, artifact.prepareScratchBytes);
    if (!scratch) {
      outOfMemory = true;
      return;
    }
    kernel.prepare()(args.x, weight.permutation(), weight.columnScale(), args.activationScale, args.geometry,
                     panel.data(), panel.sums(), panel.scales(), scratch->data(), args.xStride, first, m,
                     roundUp(m, artifact.rowMultiple), begin, end);
  }

  void multiply(const PanelMemory &panel, int64_t first, int64_t m, int64_t begin, int64_t end) {
    Expected<ScratchLease> scratch = ScratchLease::take(ScratchLease::Kind::Linear, artifact.scratchBytes);
    if (!scratch) {
      outOfMemory = true;
      return;
    }
    kernel.linear()(weight.codes(), weight.scales(), weight.zeros(), weight.table(), args.bias, panel.data(),
                    panel.sums(), panel.scales(),
                    static_cast<uint8_t *>(args.y) + first * args.yStride * sizeOf(args.dataType), scratch->data(),
                    args.yStride, m, roundUp(m, artifact.rowMultiple), begin, end);
  }

  Status result() const {
    return outOfMemory ? Status(unsupported("out of memory for the scratch space of " + artifact.name)) : Status();
  }

  const CpuWeight &weight;
  const LinearArgs &args;
  const Kernel &kernel;
  const Artifact &artifact;
  std::atomic<bool> outOfMemory{false};
};

} // namespace

Status bq::runLinear(const CpuWeight &weight, const LinearArgs &given, KernelCache &cache, ParallelFor parallel) {
  if (Status status = given.verify(weight.n(), weight.k()); !status)
    return status;
  if (given.isGradient)
    return unsupported("kernels for CPUs take gradients as products with the weight transposed and prepacked so");
  if (!given.m || !weight.n())
    return {};
  LinearArgs args = given;
  if (args.geometry && isPointwise(*args.geometry)) {
    args.xStride = args.geometry->columnStride;
    args.geometry = nullptr;
  }
  const int rows = args.geometry ? 0 : abi::kernelRows(args.m);
  const Kernel *kernel = weight.kernels().find(callKey(args, rows));
  if (!kernel) {
    Expected<const Kernel *> found = findKernel(weight, args, rows, cache);
    if (!found)
      return found.error();
    kernel = *found;
  }
  if (args.geometry && args.geometry->groups > 1) {
    abi::Conv2dGeometry padding;
    std::vector<float> noPixel;
    if (!args.geometry->height || !args.geometry->width) {
      // Kernels read a pixel, and leave it out.
      padding = *args.geometry;
      padding.batchStride = padding.rowStride = padding.columnStride = 0;
      noPixel.resize(static_cast<size_t>(weight.n()));
      args.geometry = &padding;
      args.x = noPixel.data();
    }
    return Call(weight, args, *kernel).runDirect(parallel);
  }
  Call call(weight, args, *kernel);
  return args.geometry ? call.runPatches(parallel) : call.runRows(parallel);
}

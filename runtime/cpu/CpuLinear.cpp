// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuLinear.h"

#include "runtime/LinearSpec.h"

#include <algorithm>
#include <atomic>

using namespace bq;

namespace {

/// Rows that one panel holds at most, and bytes where that leaves rows enough to pay for unpacking the weight anew.
constexpr int64_t maxPanelRows = 4096;
constexpr int64_t minPanelRows = 256;
constexpr int64_t maxPanelBytes = int64_t{32} << 20;
/// Products, and converted activations, for which a thread is worth waking: a few microseconds of work.
constexpr int64_t productsPerThread = int64_t{1} << 18;
constexpr int64_t conversionsPerThread = int64_t{1} << 15;

/// What the calls on one weight can vary, in one word.
uint32_t callKey(const LinearArgs &args, int rows) {
  return static_cast<uint32_t>(args.dataType) | static_cast<uint32_t>(args.compute) << 4 |
         static_cast<uint32_t>(args.activation) << 8 | (args.bias ? 1u : 0u) << 12 | static_cast<uint32_t>(rows) << 16;
}

/// The kernel for a call that this weight has not seen yet.
Expected<const Kernel *> findKernel(const CpuWeight &weight, const LinearArgs &args, int rows, KernelCache &cache) {
  const CompileRequest request{linearSpec(weight.format(), weight.n(), weight.k(), weight.scaleType(),
                                          weight.zeroType(), weight.permutation() != nullptr, args),
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

/// One panel's worth of a layer: the rows of x that are converted together.
struct Call {
  const CpuWeight &weight;
  const LinearArgs &args;
  const Kernel &kernel;
  const uint8_t *x;
  uint8_t *y;
  int64_t m, paddedRows;
  uint8_t *data, *sums;
  float *scales;
  std::atomic<bool> *outOfMemory;

  void prepare(int64_t begin, int64_t end) const {
    Expected<ScratchLease> scratch =
        ScratchLease::take(ScratchLease::Kind::Prepare, kernel.artifact().prepareScratchBytes);
    if (!scratch) {
      *outOfMemory = true;
      return;
    }
    kernel.prepare()(x, weight.permutation(), weight.columnScale(), data, sums, scales, scratch->data(), args.xStride,
                     m, paddedRows, begin, end);
  }

  void multiply(int64_t begin, int64_t end) const {
    Expected<ScratchLease> scratch = ScratchLease::take(ScratchLease::Kind::Linear, kernel.artifact().scratchBytes);
    if (!scratch) {
      *outOfMemory = true;
      return;
    }
    kernel.linear()(weight.codes(), weight.scales(), weight.zeros(), weight.table(), args.bias, data, sums, scales, y,
                    scratch->data(), args.yStride, m, paddedRows, begin, end);
  }
};

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

} // namespace

Status bq::runLinear(const CpuWeight &weight, const LinearArgs &args, KernelCache &cache, ParallelFor parallel) {
  if (Status status = args.verify(weight.n(), weight.k()); !status)
    return status;
  if (!args.m || !weight.n())
    return {};
  const int rows = KernelSpec::rowsFor(args.m);
  const Kernel *kernel = weight.kernels().find(callKey(args, rows));
  if (!kernel) {
    Expected<const Kernel *> found = findKernel(weight, args, rows, cache);
    if (!found)
      return found.error();
    kernel = *found;
  }

  // Panels of equal size, as few as hold all rows.
  const Artifact &artifact = kernel->artifact();
  int64_t most = maxPanelRows;
  if (artifact.panelDataBytes)
    most = std::min(most, std::max(minPanelRows, maxPanelBytes / artifact.panelDataBytes));
  int64_t panels = (args.m + most - 1) / most;
  int64_t panelRows = roundUp((args.m + panels - 1) / panels, artifact.rowMultiple);
  size_t dataBytes = roundUp(panelRows * artifact.panelDataBytes, AlignedBuffer::alignment);
  size_t sumBytes = roundUp(panelRows * artifact.panelSums * 4, AlignedBuffer::alignment);
  Expected<ScratchLease> panel =
      ScratchLease::take(ScratchLease::Kind::Panel, dataBytes + sumBytes + panelRows * sizeof(float));
  if (!panel)
    return panel.error();

  std::atomic<bool> outOfMemory{false};
  const int64_t elementBytes = sizeOf(args.dataType);
  for (int64_t first = 0; first < args.m; first += panelRows) {
    int64_t m = std::min(panelRows, args.m - first);
    const Call call{weight,
                    args,
                    *kernel,
                    static_cast<const uint8_t *>(args.x) + first * args.xStride * elementBytes,
                    static_cast<uint8_t *>(args.y) + first * args.yStride * elementBytes,
                    m,
                    roundUp(m, artifact.rowMultiple),
                    panel->data(),
                    panel->data() + dataBytes,
                    reinterpret_cast<float *>(panel->data() + dataBytes + sumBytes),
                    &outOfMemory};
    // Asked of the scheduler only where there is work for two threads.
    int64_t grain = std::max<int64_t>(1, conversionsPerThread / weight.k());
    if (call.paddedRows <= grain)
      call.prepare(0, call.paddedRows);
    else
      parallel(0, call.paddedRows, grain, [&call](int64_t begin, int64_t end) { call.prepare(begin, end); });
    int64_t products = std::max<int64_t>(1, weight.n() * weight.k() / artifact.tasks * m);
    grain = std::max<int64_t>(1, productsPerThread / products);
    if (artifact.tasks <= grain)
      call.multiply(0, artifact.tasks);
    else
      parallel(0, artifact.tasks, grain, [&call](int64_t begin, int64_t end) { call.multiply(begin, end); });
  }
  return outOfMemory ? Status(unsupported("out of memory for the scratch space of " + artifact.name)) : Status();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuUpdate.h"

#include "dialect/core/Half.h"
#include "runtime/AlignedBuffer.h"
#include "runtime/NotFinite.h"

#include <algorithm>
#include <atomic>
#include <vector>

using namespace bq;

namespace {

/// Elements for which a thread is worth waking.
constexpr int64_t grainElements = int64_t{1} << 15;

/// Half a page from where large tensors begin, which is at the start of a page or shortly behind: a load of scratch
/// then waits for no store to the same place in a tensor's page.
constexpr uintptr_t pageBytes = 4096, scratchInPage = pageBytes / 2;

uint8_t *placeInPage(uint8_t *scratch) {
  return scratch + (scratchInPage - reinterpret_cast<uintptr_t>(scratch)) % pageBytes;
}

/// Looks for a gradient that is not finite, before anything is changed. Each thread goes from the last element to the
/// first, so that what the step reads first is what was read last and still in a cache.
Status verifyGradient(const UpdateArgs &args, ParallelFor parallel) {
  constexpr int64_t chunk = int64_t{1} << 18;
  std::atomic<int64_t> found{-1};
  parallel(0, args.n * args.k, grainElements, [&](int64_t begin, int64_t end) {
    for (int64_t last = end; last > begin && found.load(std::memory_order_relaxed) < 0;) {
      const int64_t first = std::max(begin, last - chunk);
      if (int64_t at = firstNonFinite(args.dataType, args.gradient, first, last); at >= 0)
        found = at;
      last = first;
    }
  });
  if (found < 0)
    return {};
  return notFinite(found, args.packed ? args.k : 0);
}

class Step {
public:
  Step(const UpdateArgs &args, const Kernel &kernel)
      : args(args), kernel(kernel), options(args.options()),
        counter{static_cast<uint32_t>(args.seed), static_cast<uint32_t>(args.seed >> 32),
                static_cast<uint32_t>(args.step), 0} {}

  Status run(ParallelFor parallel) {
    // One too large for memory is found before anything is changed.
    if (Expected<ScratchLease> scratch = takeScratch(); !scratch)
      return scratch.error();
    if (!args.packed) {
      const int64_t rows = (args.k + abi::denseUpdateRow - 1) / abi::denseUpdateRow;
      return runRows(kernel.update(), rows, abi::denseUpdateRow, parallel);
    }
    if (args.packed->scaling != ScaleUpdate::Tensor)
      return runRows(kernel.update(), args.n, args.k, parallel);
    rowScales.resize(args.n);
    if (Status status = runRows(kernel.updateMoments(), args.n, args.k, parallel); !status)
      return status;
    options.scale = storedScale(*std::max_element(rowScales.begin(), rowScales.end()));
    return runRows(kernel.update(), args.n, args.k, parallel);
  }

private:
  Expected<ScratchLease> takeScratch() const {
    return ScratchLease::take(ScratchLease::Kind::Linear, kernel.artifact().scratchBytes + pageBytes);
  }

  float storedScale(float wanted) const {
    const ElementType type = args.packed->scaleType;
    return wanted ? roundTo(type, std::min(std::max(wanted, minNormal(type)), maxFinite(type))) : 1.0f;
  }

  Status runRows(abi::UpdateFn function, int64_t rows, int64_t columns, ParallelFor parallel) {
    const PackedTarget packed = args.packed.value_or(PackedTarget());
    std::atomic<bool> outOfMemory{false};
    parallel(0, rows, std::max<int64_t>(1, grainElements / columns), [&](int64_t begin, int64_t end) {
      Expected<ScratchLease> scratch = takeScratch();
      if (!scratch) {
        outOfMemory = true;
        return;
      }
      function(args.gradient, args.weight, packed.codes, packed.scales, packed.zeros, packed.residual, args.m,
               args.mScales, args.v, args.vScales, &options, counter, rowScales.data(), placeInPage(scratch->data()),
               args.k, begin, end);
    });
    if (outOfMemory)
      return unsupported("out of memory for the scratch space of " + kernel.artifact().name);
    return {};
  }

  const UpdateArgs &args;
  const Kernel &kernel;
  abi::UpdateOptions options;
  uint32_t counter[4];
  std::vector<float> rowScales;
};

} // namespace

Status bq::runUpdate(const UpdateArgs &args, const CpuTarget &target, KernelCache &cache, ParallelFor parallel) {
  if (!args.n)
    return {};
  Expected<std::shared_ptr<const Kernel>> kernel = cache.get({args.spec(), target, /*schedule=*/""});
  if (!kernel)
    return kernel.error();
  if (!args.gradientIsFinite)
    if (Status status = verifyGradient(args, parallel); !status)
      return status;
  return Step(args, **kernel).run(parallel);
}

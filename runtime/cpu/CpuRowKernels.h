// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The CPU's kernels that RowKey tells apart, found in nanoseconds after the first call of their kind.
#ifndef BQ_RUNTIME_CPU_CPUROWKERNELS_H
#define BQ_RUNTIME_CPU_CPUROWKERNELS_H

#include "dialect/core/CpuTarget.h"
#include "runtime/KernelCache.h"
#include "runtime/KernelTable.h"
#include "runtime/RowKey.h"

namespace bq {

/// Usable from any thread.
class CpuRowKernels {
public:
  /// `cache` outlives this.
  CpuRowKernels(const CpuTarget &target, KernelCache &cache) : target(target), cache(cache) {}

  /// The kernel lives as long as this; errors are those of KernelCache::get.
  Expected<const Kernel *> get(const KernelSpec &spec) {
    const RowKey key(spec);
    if (const Kernel *kernel = known.find(key))
      return kernel;
    Expected<std::shared_ptr<const Kernel>> kernel = cache.get({spec, target, /*schedule=*/""});
    if (!kernel)
      return kernel.error();
    known.add(key, *kernel);
    return kernel->get();
  }

private:
  CpuTarget target;
  KernelCache &cache;
  KernelTable<RowKey> known;
};

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUROWKERNELS_H

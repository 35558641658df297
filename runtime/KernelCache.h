// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels by description: found in memory, on disk, or compiled, once each.
#ifndef BQ_RUNTIME_KERNELCACHE_H
#define BQ_RUNTIME_KERNELCACHE_H

#include "runtime/ArtifactCache.h"
#include "runtime/Kernel.h"
#include "runtime/OnceTable.h"

#include <memory>

namespace bq {

/// All calls may come from any thread, and from a forked child. Kernels stay in memory as long as the cache.
class KernelCache {
public:
  /// `compiler` outlives the cache.
  KernelCache(const Options &options, CompilerLibrary &compiler);

  /// The kernel for a request: in memory in about a microsecond, from disk in less than a millisecond, else compiled,
  /// in tens of milliseconds. However many threads ask for one kernel, one makes it and the others wait. An error goes
  /// to all that waited and is not kept: the next call tries again. The target is a CPU; kernels for GPUs are
  /// CudaKernels'.
  Expected<std::shared_ptr<const Kernel>> get(const CompileRequest &request);

  CacheStats stats() const { return store.stats(); }
  const Options &options() const { return store.options(); }
  DiskCache &disk() { return store.disk(); }
  CompilerLibrary &compiler() { return store.compiler(); }
  /// Where kernels come from that are not in memory; for GPUs too.
  ArtifactCache &artifacts() { return store; }

  /// The cache of this process, made from its environment on the first call; errors are those of Options.
  static Expected<KernelCache *> process();

private:
  ArtifactCache store;
  OnceTable<Kernel> kernels; ///< By the key's text.
};

} // namespace bq

#endif // BQ_RUNTIME_KERNELCACHE_H

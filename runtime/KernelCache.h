// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels by description: found in memory, on disk, or compiled, once each.
#ifndef BQ_RUNTIME_KERNELCACHE_H
#define BQ_RUNTIME_KERNELCACHE_H

#include "runtime/CompilerLibrary.h"
#include "runtime/DiskCache.h"
#include "runtime/Kernel.h"

#include <future>
#include <memory>
#include <string>
#include <unordered_map>

namespace bq {

/// What a KernelCache has done since it was made.
struct CacheStats {
  int64_t memoryHits = 0; ///< Searches that found the kernel in memory or being made by another thread. Calls that a
                          ///< backend serves from a weight's own table are not searches.
  int64_t diskHits = 0;
  int64_t compiles = 0; ///< Misses: compiles begun, failed ones too.
  double compileMs = 0; ///< Sum over compiles, without opening the compiler.
  double loadMs = 0;    ///< Sum over disk hits: from the search to a callable kernel.
  double openMs = 0;    ///< Opening libbq_compiler.so.
  int64_t evictions = 0;
  int64_t damaged = 0;
};

/// All calls may come from any thread, and from a forked child. Kernels stay in memory as long as the cache.
class KernelCache {
public:
  /// `compiler` outlives the cache.
  KernelCache(const Options &options, CompilerLibrary &compiler);

  /// The kernel for a request: in memory in about a microsecond, from disk in less than a millisecond, else compiled,
  /// in tens of milliseconds. However many threads ask for one kernel, one makes it and the others wait. An error goes
  /// to all that waited and is not kept: the next call tries again.
  Expected<std::shared_ptr<const Kernel>> get(const CompileRequest &request);

  CacheStats stats() const;
  const Options &options() const { return settings; }
  DiskCache &disk() { return files; }
  CompilerLibrary &compiler() { return library; }

  /// The cache of this process, made from its environment on the first call; errors are those of Options.
  static Expected<KernelCache *> process();

private:
  using Result = Expected<std::shared_ptr<const Kernel>>;
  struct Slot {
    std::shared_ptr<const Kernel> kernel; ///< Null while it is being made.
    std::shared_future<Result> pending;
    uint64_t generation = 0; ///< forkGeneration() of the maker.
  };

  Result make(const CompileRequest &request, const KernelKey &key);
  Result load(const CompileRequest &request, const KernelKey &key, bool quiet);
  Result compile(const CompileRequest &request, const KernelKey &key);

  Options settings;
  DiskCache files;
  CompilerLibrary &library;
  std::unordered_map<std::string, Slot> slots; ///< By the key's text; under forkSafeMutex().
  CacheStats counts;                           ///< Under forkSafeMutex().
};

} // namespace bq

#endif // BQ_RUNTIME_KERNELCACHE_H

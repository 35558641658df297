// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Machine code by description: found on disk, or compiled. Shared by what is loaded for CPUs and for GPUs.
#ifndef BQ_RUNTIME_ARTIFACTCACHE_H
#define BQ_RUNTIME_ARTIFACTCACHE_H

#include "runtime/CompilerLibrary.h"
#include "runtime/DiskCache.h"

#include <functional>

namespace bq {

/// What a cache of kernels has done since it was made.
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

/// All calls may come from any thread, and from a forked child.
class ArtifactCache {
public:
  /// `compiler` outlives the cache.
  ArtifactCache(const Options &options, CompilerLibrary &compiler);

  /// Makes a kernel of an artifact. Internal where that cannot be done whoever tries: one from disk is then compiled
  /// anew, one just compiled is not kept. May throw.
  using Use = std::function<Status(Artifact artifact)>;

  /// Calls `use` with the artifact for a request, whose key is `key`: from disk in less than a millisecond, else
  /// compiled, in tens of milliseconds, by one process at a time. The error is that of the compiler or of `use`.
  Status get(const CompileRequest &request, const KernelKey &key, const Use &use);

  /// For who finds a kernel in memory.
  void countMemoryHit();
  CacheStats stats() const;
  const Options &options() const { return settings; }
  DiskCache &disk() { return files; }
  CompilerLibrary &compiler() { return library; }

private:
  Expected<bool> load(const KernelKey &key, const Use &use, bool quiet);
  Status compile(const CompileRequest &request, const KernelKey &key, const Use &use);
  Error shortened(const Error &error, const KernelKey &key);

  Options settings;
  DiskCache files;
  CompilerLibrary &library;
  CacheStats counts; ///< Under forkSafeMutex().
};

} // namespace bq

#endif // BQ_RUNTIME_ARTIFACTCACHE_H

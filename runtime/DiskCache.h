// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels on disk: one file for each, shared by processes, limited in size.
#ifndef BQ_RUNTIME_DISKCACHE_H
#define BQ_RUNTIME_DISKCACHE_H

#include "runtime/KernelFile.h"
#include "runtime/Options.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bq {

/// What `bqc cache list` and `info` show of one file.
struct CacheEntry {
  std::string key;      ///< 32 hexadecimal digits; the file is <key>.bqk.
  std::string name;     ///< Kernel name; this and the next two are empty where the file is damaged.
  std::string spec;     ///< KernelSpec::str()
  std::string target;   ///< str(Target)
  std::string schedule; ///< As Artifact::schedule.
  int64_t bytes = 0;    ///< Size of the file.
  int64_t lastUse = 0;  ///< Seconds since 1970.
  std::string damage;   ///< Empty = sound; else why the file is not loaded.
};

/// A number of files and their bytes.
struct CacheTotals {
  int64_t files = 0;
  int64_t bytes = 0;
};

/// A folder of kernels. All calls may come from any thread and any number of processes at once. load(), store() and
/// lock() never fail: what goes wrong on disk is a miss and at most one warning, and the caller compiles.
class DiskCache {
public:
  explicit DiskCache(const Options &options);

  /// The folder; empty where the environment names none.
  const std::string &path() const { return folder; }
  /// Whether load() can find anything at all: BQ_CACHE is not off and there is a folder.
  bool isOn() const { return mode != Options::CacheMode::Off && !folder.empty(); }

  /// The kernel, marked as just used; nothing where absent. A damaged, truncated or foreign file, or one that another
  /// user could have written, is a miss, with a warning unless `quiet`: for who will ask again before compiling.
  std::optional<KernelFile> load(const KernelKey &key, bool quiet = false);
  /// Writes the kernel under its key by temporary file, fsync and rename, replacing what is there; then removes the
  /// least recently used files where the size limit is passed. Nothing where the cache is read-only, off or out of
  /// order.
  void store(const KernelKey &key, const KernelFile &kernel);

  /// Keeps what the compiler says of a kernel that it cannot make, as failed/<key>.log, until the next prune() or
  /// clear(). The file's path; empty where the cache is read-only, off or out of order.
  std::string storeFailure(const KernelKey &key, const std::string &text);

  /// Right to compile one kernel; given back when destroyed or when the process ends, however it ends.
  class Lock {
  public:
    Lock() = default;
    Lock(Lock &&other) noexcept : descriptor(std::exchange(other.descriptor, -1)) {}
    Lock &operator=(Lock &&) = delete;
    ~Lock();
    /// False where it could not be had.
    bool isHeld() const { return descriptor >= 0; }

  private:
    friend class DiskCache;
    int descriptor = -1;
  };
  /// Waits, at most BQ_CACHE_LOCK_SECONDS, until no other process or thread holds the lock of this key. The lock only
  /// saves double work: where it cannot be had the caller goes on without it.
  Lock lock(const KernelKey &key);

  /// All kernels, least recently used first, each read and its checksum compared. Errors: the folder is refused.
  Expected<std::vector<CacheEntry>> list() const;
  /// The kernel whose key is `key` or begins with it. NotFound where there is none, InvalidArgument where several.
  Expected<CacheEntry> info(const std::string &key) const;
  /// list(), and each object is also loaded as it would be for use.
  Expected<std::vector<CacheEntry>> verify() const;
  /// Number and size of all kernels, without reading them.
  Expected<CacheTotals> totals() const;
  /// Removes least recently used kernels until at most `maxBytes` are left, and what storeFailure() kept; the kernels
  /// removed.
  Expected<CacheTotals> prune(int64_t maxBytes);
  /// Removes all kernels; what was removed.
  Expected<CacheTotals> clear() { return prune(0); }

  /// Files removed by store() to stay below the limit, and files found damaged by load().
  int64_t evictions() const { return evicted; }
  int64_t damaged() const { return refused; }
  /// Warns about a file and counts it as damaged; also for who finds that a sound file holds an unusable object.
  void reportDamage(const KernelKey &key, const std::string &why);

private:
  Expected<std::vector<CacheEntry>> read(bool loadObjects) const;
  void warnOnce(const std::string &text);

  std::string folder;
  Options::CacheMode mode;
  int64_t sizeLimit;
  double lockSeconds;
  std::atomic<bool> warned{false};   ///< One warning about the folder is enough.
  std::atomic<bool> storable{true};  ///< Cleared when the folder turned out not to take files.
  std::atomic<int64_t> expected{-1}; ///< Bytes on disk as far as known; negative before the first look.
  std::atomic<int64_t> evicted{0}, refused{0};
};

} // namespace bq

#endif // BQ_RUNTIME_DISKCACHE_H

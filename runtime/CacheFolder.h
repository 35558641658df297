// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The folder of the disk cache as the operating system sees it: what may be trusted, and writing whole files.
#ifndef BQ_RUNTIME_CACHEFOLDER_H
#define BQ_RUNTIME_CACHEFOLDER_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bq {

/// An open folder that belongs to this user and that nobody else can write. Everything goes through its descriptor, so
/// that what was checked is what is used. Not for several threads at once; opened anew for each use.
class CacheFolder {
public:
  /// NotFound where it does not exist and `create` is false; created folders have mode 0700. Unsupported where another
  /// user owns it or could write into it, Io where the system refuses.
  static Expected<CacheFolder> open(const std::string &path, bool create);

  CacheFolder(CacheFolder &&other) noexcept
      : path(std::move(other.path)), descriptor(std::exchange(other.descriptor, -1)) {}
  CacheFolder &operator=(CacheFolder &&) = delete;
  ~CacheFolder();

  struct File {
    std::string name;
    int64_t bytes = 0;
    int64_t usedNs = 0; ///< Time of last use (the file's mtime), nanoseconds since 1970.
  };
  /// All regular files, in no order.
  std::vector<File> files() const;

  /// The bytes of a file, of this user and writable by nobody else; `touch` marks it as just used. NotFound where
  /// absent; other errors say why it is not to be trusted.
  Expected<std::vector<uint8_t>> read(const std::string &name, bool touch) const;
  /// Writes all or nothing: temporary file, fsync, rename.
  Status write(const std::string &name, const std::vector<uint8_t> &bytes) const;
  /// Success also where it is gone already.
  Status remove(const std::string &name) const;
  /// Removes temporary files that a killed process left more than an hour ago.
  void removeStaleTemporaries() const;
  /// Opens a file to hold locks, made where absent. The caller closes it.
  Expected<int> openLock(const std::string &name) const;

private:
  CacheFolder(std::string path, int descriptor) : path(std::move(path)), descriptor(descriptor) {}
  Error failure(const std::string &what, const std::string &name) const;

  std::string path;
  int descriptor;
};

} // namespace bq

#endif // BQ_RUNTIME_CACHEFOLDER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A file that appears whole or not at all.
#ifndef BQ_RUNTIME_PENDINGFILE_H
#define BQ_RUNTIME_PENDINGFILE_H

#include "dialect/core/Status.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace bq {

/// Written under a temporary name beside its own, then renamed; removed unless commit() succeeds. A file that is
/// replaced keeps its mode. Errors begin with the path. For one thread at a time.
class PendingFile {
public:
  static Expected<PendingFile> create(const std::string &path);
  PendingFile(PendingFile &&other) noexcept
      : path(std::move(other.path)), temporary(std::move(other.temporary)),
        descriptor(std::exchange(other.descriptor, -1)) {}
  PendingFile &operator=(PendingFile &&) = delete;
  ~PendingFile();

  /// What a signal handler has to remove.
  const std::string &temporaryName() const { return temporary; }

  Status write(const void *data, size_t size);
  /// Makes the contents durable and gives the file its name, replacing what is there. Once, as the last call.
  Status commit();

private:
  PendingFile(std::string path, std::string temporary, int descriptor)
      : path(std::move(path)), temporary(std::move(temporary)), descriptor(descriptor) {}
  Error failure(std::string_view action) const;

  std::string path, temporary;
  int descriptor; ///< -1 once the file has its name.
};

} // namespace bq

#endif // BQ_RUNTIME_PENDINGFILE_H

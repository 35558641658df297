// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A file that appears whole or not at all.
#ifndef BQ_QUANTIZERS_PENDINGFILE_H
#define BQ_QUANTIZERS_PENDINGFILE_H

#include <cstdint>
#include <string>

namespace bq {

/// Written under a temporary name beside `path`, then renamed; removed unless commit() is reached. A file that is
/// replaced keeps its mode. Errors are c10::Error that begin with the path.
class PendingFile {
public:
  explicit PendingFile(const std::string &path);
  PendingFile(const PendingFile &) = delete;
  PendingFile &operator=(const PendingFile &) = delete;
  ~PendingFile();

  void write(const void *data, uint64_t size);
  /// Makes the contents durable and gives the file its name.
  void commit();

private:
  const std::string path;
  std::string temporary; ///< Empty once it has its name.
  const int descriptor;
};

} // namespace bq

#endif // BQ_QUANTIZERS_PENDINGFILE_H

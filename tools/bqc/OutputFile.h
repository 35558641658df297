// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A file that appears whole or not at all.
#ifndef BQ_TOOLS_BQC_OUTPUTFILE_H
#define BQ_TOOLS_BQC_OUTPUTFILE_H

#include "dialect/core/Status.h"
#include "runtime/PendingFile.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bq::cli {

/// Whether two names stand for one file, however they are spelled: the same name in the same folder, whether the file
/// is there yet or not, or links to the same file.
bool isSameFile(const std::string &left, const std::string &right);

/// Whether a file can be written at `path`: it is no folder, its parent is a folder that takes files, and it is none of
/// the files `inputs`. Leaves nothing behind. `option` names the argument in the error.
Status checkOutputPath(std::string_view option, const std::string &path, const std::vector<std::string> &inputs);

/// A PendingFile whose temporary file SIGINT, SIGTERM and SIGHUP remove before they do what they did before. At most
/// one lives at a time. Signals that are ignored stay so.
class OutputFile {
public:
  static Expected<OutputFile> create(const std::string &path);
  OutputFile(OutputFile &&other) noexcept : file(std::exchange(other.file, std::nullopt)) {}
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  Status write(const void *data, size_t size);
  Status commit();

private:
  explicit OutputFile(PendingFile file);

  std::optional<PendingFile> file; ///< None where it was moved from.
};

/// The whole of a small file, in one go.
Status writeOutputFile(const std::string &path, std::string_view text);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_OUTPUTFILE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The file of a training run: a line with kind and checksum, a line of JSON, an archive of tensors.
#ifndef BQ_TOOLS_BQC_CHECKPOINTFILE_H
#define BQ_TOOLS_BQC_CHECKPOINTFILE_H

#include "dialect/core/Status.h"

#include <nlohmann/json.hpp>
#include <torch/serialize/archive.h>

#include <string>
#include <string_view>

namespace bq::cli {

struct CheckpointKind {
  std::string_view command; ///< That writes it, such as "bqc train".
  std::string_view version; ///< Words that end with a number, such as "bqc checkpoint 1"; how the file begins.
};

struct CheckpointFile {
  nlohmann::ordered_json header;
  std::string archive; ///< What an InputArchive loads.

  /// Writes the file; it is the old one until the new one is complete (OutputFile).
  static Status write(const CheckpointKind &kind, const nlohmann::ordered_json &header,
                      torch::serialize::OutputArchive &archive, const std::string &path);
  /// Errors say that the file is absent, of another kind or version, or damaged; they call it --checkpoint.
  static Expected<CheckpointFile> read(const CheckpointKind &kind, const std::string &path);
};

/// Writes `part`, anything with save(OutputArchive &), as an archive within `archive`.
template <typename Part>
void savePart(torch::serialize::OutputArchive &archive, const char *name, const Part &part) {
  torch::serialize::OutputArchive child(archive.compilation_unit());
  part.save(child);
  archive.write(name, child);
}

/// The inverse; throws what `part.load` throws.
template <typename Part>
void loadPart(torch::serialize::InputArchive &archive, const char *name, Part &part) {
  torch::serialize::InputArchive child;
  archive.read(name, child);
  part.load(child);
}

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_CHECKPOINTFILE_H

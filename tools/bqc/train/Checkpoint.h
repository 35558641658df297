// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files from which a training run goes on as if it had never stopped.
#ifndef BQ_TOOLS_BQC_TRAIN_CHECKPOINT_H
#define BQ_TOOLS_BQC_TRAIN_CHECKPOINT_H

#include "dialect/core/Status.h"
#include "tools/bqc/train/Trainer.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bq::cli {

/// Writes model, optimizer, generators, order of the data, settings and history; the file is the old one until the new
/// one is complete (OutputFile). It begins with a line that names its version and a checksum of the rest.
Status saveCheckpoint(const Trainer &trainer, const std::string &path);

/// A checkpoint whose checksum is right.
class Checkpoint {
public:
  /// Errors say that the file is absent, no checkpoint, of another version, or damaged.
  static Expected<Checkpoint> read(const std::string &path);

  /// What settingsOf() made.
  const nlohmann::ordered_json &settings() const { return header["settings"]; }
  /// Puts `trainer`, made with the same settings, where the run was. Errors say what does not fit; `trainer` is of no
  /// use then.
  Status restore(Trainer &trainer) const;

private:
  std::string path, archive;
  nlohmann::ordered_json header;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_CHECKPOINT_H

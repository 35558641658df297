// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The finished layers of a run on disk, so that a run that was stopped goes on.
#ifndef BQ_QUANTIZERS_ONEBIT_JOURNAL_H
#define BQ_QUANTIZERS_ONEBIT_JOURNAL_H

#include "quantizers/Export.h"
#include "quantizers/onebit/OneBitFiles.h"

#include <map>
#include <string>

namespace bq::onebit {

/// A folder: run.json says what the run is made of, and each finished layer is a file of results of its own, which is
/// there whole or not at all, whenever the process ends. From one thread; one process at a time.
class BQ_TORCH_API Journal {
public:
  /// By name, what the results follow from, such as the hash of the model; text that people can read.
  using Run = std::map<std::string, std::string>;

  /// Begins a journal. Throws c10::Error where `folder` is there already or cannot be made.
  static Journal begin(const std::string &folder, const Run &run);
  /// Goes on from a journal, or begins one where there is none. Throws c10::Error where it is of another run (the text
  /// names what differs), or damaged.
  static Journal resume(const std::string &folder, const Run &run);

  /// Layers that earlier processes have finished.
  const OneBitResults &finished() const { return results; }
  /// Writes a layer; it is on disk when this returns. Throws c10::Error where it cannot be written.
  void add(const std::string &layer, const OneBitResult &result);
  /// How many layers are on disk.
  size_t size() const { return files; }
  /// Removes the folder: the run's own result is written, or there is nothing to go on from.
  void remove();

private:
  explicit Journal(std::string folder) : folder(std::move(folder)) {}

  std::string folder;
  OneBitResults results;
  size_t files = 0;
};

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_JOURNAL_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Progress of a loop over named things, on stderr: a bar on a terminal, else a line for each.
#ifndef BQ_TOOLS_BQC_PROGRESS_H
#define BQ_TOOLS_BQC_PROGRESS_H

#include "tools/bqc/Commands.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace bq::cli {

/// From one thread.
class Progress {
public:
  /// `label` stands before the bar. Silent where `output` is quiet.
  Progress(std::string label, const OutputOptions &output);
  /// Leaves the cursor at the start of a line.
  ~Progress();

  /// `done` of `total` are finished, the last being `name`; `detail` is shown behind it.
  void step(size_t done, size_t total, std::string_view name, std::string_view detail);

private:
  std::string label;
  bool silent, bar;
  bool open = false; ///< A bar stands on the current line.
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_PROGRESS_H

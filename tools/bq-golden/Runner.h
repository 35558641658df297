// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Runs the cases of an index.
#ifndef BQ_TOOLS_BQ_GOLDEN_RUNNER_H
#define BQ_TOOLS_BQ_GOLDEN_RUNNER_H

#include "tools/bq-golden/Index.h"
#include "tools/bq-golden/OpTable.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bq::golden {

/// Which cases run: those that have each name that is not empty.
struct Selection {
  std::string system, op, id;
};

struct Failure {
  std::string id, system, op;
  std::string output; ///< Empty where the case could not be run.
  std::optional<Mismatch> mismatch;
  std::string text; ///< Without the names above.
};

struct Report {
  int64_t passed = 0, failed = 0; ///< Cases. One can have several failures.
  int64_t rounded = 0;            ///< Cases that miss what the index asks, by no more than the op says rounding may do.
  std::vector<Failure> failures;
  std::vector<Failure> misses;            ///< Of the cases that are rounded.
  std::map<std::string, int64_t> skipped; ///< Cases of systems of which no op is known, by system.
};

/// Runs the selected cases in the order of the index. Without a system in the selection, cases of systems of which
/// `table` knows no op are skipped; an op that it does not know fails. Throws c10::Error, before anything is run, where
/// no case is selected, and where a file of a selected case is missing, damaged, or not what the index says.
Report runCases(const Index &index, const Selection &selection, const OpTable &table);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_RUNNER_H

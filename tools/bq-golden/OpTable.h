// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The ops that cases can ask for. Each group of them is a file in ops/.
#ifndef BQ_TOOLS_BQ_GOLDEN_OPTABLE_H
#define BQ_TOOLS_BQ_GOLDEN_OPTABLE_H

#include "tools/bq-golden/Case.h"

#include <functional>
#include <map>
#include <set>
#include <string>

namespace bq::golden {

/// Does what a case asks with bq's own functions. Throws c10::Error where the case cannot be run.
using Op = std::function<Results(const Case &)>;

struct OpEntry {
  Op run;
  /// Outputs that cases hold for information only, which nobody is to reproduce.
  std::set<std::string> informative;
};

/// By system, then by name.
using OpTable = std::map<std::string, std::map<std::string, OpEntry>>;

/// All ops of all groups.
OpTable allOps();

// One for each file in ops/.
void addDiffqModelOps(OpTable &table);
void addDiffqOps(OpTable &table);
void addGptqOps(OpTable &table);
void addLayerOps(OpTable &table);
void addOneBitOps(OpTable &table);
void addOptimizerOps(OpTable &table);
void addQuantizerOps(OpTable &table);
void addUpdateOps(OpTable &table);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_OPTABLE_H

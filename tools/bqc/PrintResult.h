// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The last word of a command that measures.
#ifndef BQ_TOOLS_BQC_PRINTRESULT_H
#define BQ_TOOLS_BQC_PRINTRESULT_H

#include "tools/bqc/Commands.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bq::cli {

/// The result on stdout: one JSON object where that was asked for, else as `printText` has it. Returns Done.
inline int printResult(const OutputOptions &output, const nlohmann::ordered_json &result,
                       void (*printText)(const nlohmann::ordered_json &)) {
  if (output.json)
    fmt::print("{}\n", result.dump(2));
  else
    printText(result);
  return Done;
}

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_PRINTRESULT_H

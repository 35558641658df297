// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the kernels of a command cost, for its report.
#ifndef BQ_TOOLS_BQC_KERNELREPORT_H
#define BQ_TOOLS_BQC_KERNELREPORT_H

#include "quantizers/Statistics.h"

#include <nlohmann/json.hpp>

namespace bq::cli {

/// Of this process up to now: compiled and from_disk count kernels, the others are milliseconds.
inline nlohmann::ordered_json kernelReport() {
  const CacheStats stats = kernelStatistics();
  return {{"compiled", stats.compiles},
          {"compile_ms", stats.compileMs},
          {"compiler_open_ms", stats.openMs},
          {"from_disk", stats.diskHits},
          {"disk_load_ms", stats.loadMs}};
}

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_KERNELREPORT_H

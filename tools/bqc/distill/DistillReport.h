// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `bqc distill` says of a run.
#ifndef BQ_TOOLS_BQC_DISTILL_DISTILLREPORT_H
#define BQ_TOOLS_BQC_DISTILL_DISTILLREPORT_H

#include "tools/bqc/distill/Distiller.h"

namespace bq::cli {

/// Bytes of the layers' weights: in 16 bits, and packed with a and b in half.
struct LinearBytes {
  int64_t half = 0, packed = 0;
};
LinearBytes linearBytes(const Student &student);

nlohmann::ordered_json toJson(const Agreement &agreement);
/// Layers and sizes, before training.
nlohmann::ordered_json planJson(const Distiller &distiller);
void printPlan(const Distiller &distiller);

/// planJson() with losses, agreements and, for each layer, the share of signs that differ from the float weight's and
/// the error of its output. `distiller.results` holds what was measured.
nlohmann::ordered_json reportJson(Distiller &distiller);
/// What reportJson() gave, as text: cosines, agreement of kernels and training path, and what limits them.
void printReport(const nlohmann::ordered_json &report);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DISTILL_DISTILLREPORT_H

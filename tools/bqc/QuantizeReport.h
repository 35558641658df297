// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `bqc quantize` says of its work: as text, as JSON, and as a page.
#ifndef BQ_TOOLS_BQC_QUANTIZEREPORT_H
#define BQ_TOOLS_BQC_QUANTIZEREPORT_H

#include "quantizers/Convert.h"
#include "tools/bqc/CalibratedLayers.h"
#include "tools/bqc/Commands.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bq::cli {

/// The plan or the outcome as one object; layers with errors come first, the worst of them before the others.
/// `calibrated` may be null.
nlohmann::ordered_json toJson(const QuantizeOptions &command, const ConvertReport &report,
                              const CalibratedLayers *calibrated);

void printPlan(const ConvertReport &report);
void printResult(const QuantizeOptions &command, const ConvertReport &report, const CalibratedLayers *calibrated,
                 double seconds);

/// What is lost of a layer, as in "error 1.20e-02, 38.4 dB"; empty where it is not known.
std::string errorOf(const LayerReport &layer);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_QUANTIZEREPORT_H

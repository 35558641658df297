// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `bqc train --quantizer diffq` says of the bits that were learned.
#ifndef BQ_TOOLS_BQC_TRAIN_BITREPORT_H
#define BQ_TOOLS_BQC_TRAIN_BITREPORT_H

#include "tools/bqc/train/Trainer.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bq::cli {

/// A table of bits by layer, and the size: as estimated, and of a file of the packed state.
void printBits(const Trainer &trainer);
/// The same: "size_mb", "file_mb", "penalty" and "bits", by parameter.
nlohmann::ordered_json bitsJson(const Trainer &trainer);

/// HTML that needs nothing else: a histogram of bits for each layer, and the path of size and accuracy over the epochs.
/// `result` is the JSON object of the run.
std::string bitsPage(const nlohmann::ordered_json &result);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_BITREPORT_H

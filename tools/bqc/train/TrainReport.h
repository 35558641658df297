// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `bqc train` says of its plan and its result.
#ifndef BQ_TOOLS_BQC_TRAIN_TRAINREPORT_H
#define BQ_TOOLS_BQC_TRAIN_TRAINREPORT_H

#include "tools/bqc/train/Trainer.h"

#include <nlohmann/json.hpp>

namespace bq::cli {

/// The model on the examples that test, by both paths.
struct Evaluation {
  double trained = 0, packed = 0; ///< Accuracies, 0 to 1.
  int64_t same = 0;               ///< Examples that both put into one class.
};
Evaluation evaluate(Trainer &trainer);

/// Bytes of the model with float weights and with packed ones.
struct ModelBytes {
  int64_t floating = 0, packed = 0;
};
ModelBytes bytesOf(const TrainModel &model);

/// "loss 0.1234  accuracy 97.22 %"
std::string str(const EpochResult &epoch);

/// The same as JSON, as a checkpoint holds it too.
nlohmann::ordered_json epochJson(const EpochResult &epoch);

void printPlan(const Trainer &trainer);
/// Settings, data, layers and epochs so far.
nlohmann::ordered_json planJson(const Trainer &trainer);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_TRAINREPORT_H

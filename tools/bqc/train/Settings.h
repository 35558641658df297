// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The settings of a training run as JSON, as a checkpoint and a report hold them.
#ifndef BQ_TOOLS_BQC_TRAIN_SETTINGS_H
#define BQ_TOOLS_BQC_TRAIN_SETTINGS_H

#include "dialect/core/Status.h"
#include "tools/bqc/Commands.h"

#include <nlohmann/json.hpp>

namespace bq::cli {

/// Every setting under the name of its option.
nlohmann::ordered_json settingsOf(const TrainOptions &options);

/// Sets the settings that the command line leaves open to those in `saved`, what settingsOf() made for the run that
/// wrote `checkpoint`. The error names an option that the command line gives another value, and both values.
Status restoreSettings(TrainOptions &options, const nlohmann::ordered_json &saved, const std::string &checkpoint);

/// Sets what the command line leaves open as `options.quantizer` needs it.
void setQuantizerDefaults(TrainOptions &options);

/// What does not go together, or is out of range; without a look at data or files.
Status checkSettings(const TrainOptions &options);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_SETTINGS_H

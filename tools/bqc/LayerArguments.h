// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The options of commands that describe a layer.
#ifndef BQ_TOOLS_BQC_LAYERARGUMENTS_H
#define BQ_TOOLS_BQC_LAYERARGUMENTS_H

#include "tools/bqc/Commands.h"

#include <CLI/CLI.hpp>

namespace bq::cli {

/// Adds what every layer has: format, compute, activation and bias. `layer` outlives the command line.
void addLayer(CLI::App &command, LayerOptions &layer);
/// Adds the sizes of linear layers.
void addSizes(CLI::App &command, LayerOptions &layer);
/// Adds the sizes of convolutions.
void addConv2dSizes(CLI::App &command, Conv2dOptions &conv);

/// Adds what optimizer steps have.
void addStep(CLI::App &command, LayerOptions &layer);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_LAYERARGUMENTS_H

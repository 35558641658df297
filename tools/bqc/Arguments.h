// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From the command line to a command: what several commands have, and the commands with many options.
#ifndef BQ_TOOLS_BQC_ARGUMENTS_H
#define BQ_TOOLS_BQC_ARGUMENTS_H

#include "tools/bqc/Commands.h"
#include "tools/bqc/Output.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace bq::cli {

/// The command that was chosen.
using Run = std::function<int()>;

/// One of those in libbqc_torch.so. `options` outlives what is returned.
template <typename Options>
Run byTorch(int (*TorchCommands::*command)(const Options &), const Options &options) {
  return [command, &options] {
    const Expected<const TorchCommands *> commands = torchCommands();
    return commands ? ((*commands)->*command)(options) : fail(commands.error());
  };
}

/// Of a number of rows, columns, pixels or elements.
constexpr int64_t greatestSize = std::numeric_limits<int32_t>::max();

/// Each adds options to a command; what they are written to outlives the command line. This one leaves `--json` to the
/// caller: one command gives it a value.
void addCommon(CLI::App &command, OutputOptions &output);
void addOutput(CLI::App &command, OutputOptions &output);
void addDevice(CLI::App &command, std::string &device, const char *meaning);
CLI::Option *addThreads(CLI::App &command, int &threads);
void addPatterns(CLI::App &command, std::vector<std::string> &include, std::vector<std::string> &exclude);

/// Accepts regular expressions, and such before a '='.
CLI::Validator isPattern();
CLI::Validator isRule();

/// Each adds commands.
void addTrain(CLI::App &app, TrainOptions &options, Run &run);
void addDistill(CLI::App &app, DistillOptions &options, Run &run);
void addBench(CLI::App &app, BenchOptions &options, BenchUpdateOptions &update, BenchNoiseOptions &noise,
              BenchOneBitOptions &oneBit, TrainOptions &train, Run &run);

/// What describes a run of training.
void addTrainSettings(CLI::App &command, TrainOptions &options);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_ARGUMENTS_H

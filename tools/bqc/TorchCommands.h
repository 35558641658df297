// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The commands that libbqc_torch.so holds, as TorchCommands offers them.
#ifndef BQ_TOOLS_BQC_TORCHCOMMANDS_H
#define BQ_TOOLS_BQC_TORCHCOMMANDS_H

#include "tools/bqc/Commands.h"

namespace bq::cli {

int runQuantize(const QuantizeOptions &command);
int runCompare(const CompareOptions &command);
int runBench(const BenchOptions &command);
int runBenchUpdate(const BenchUpdateOptions &command);
int runBenchNoise(const BenchNoiseOptions &command);
int runBenchOneBit(const BenchOneBitOptions &command);
int runTrain(const TrainOptions &command);
int runBenchTrain(const TrainOptions &command);
int runDistill(const DistillOptions &command);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TORCHCOMMANDS_H

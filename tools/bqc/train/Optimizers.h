// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The optimizers that can be chosen.
#ifndef BQ_TOOLS_BQC_TRAIN_OPTIMIZERS_H
#define BQ_TOOLS_BQC_TRAIN_OPTIMIZERS_H

#include "tools/bqc/Commands.h"
#include "tools/bqc/train/TrainModel.h"

#include <torch/optim/optimizer.h>

#include <memory>

namespace bq::cli {

/// Over all parameters of `model`, with the learning rate of `options`.
std::unique_ptr<torch::optim::Optimizer> makeOptimizer(const TrainOptions &options, TrainModel &model);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_OPTIMIZERS_H

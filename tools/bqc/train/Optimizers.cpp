// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Optimizers.h"

#include "quantizers/optim/DiodeMix.h"

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

using namespace bq;
using namespace bq::cli;

namespace {

/// The options' own defaults are for steps far smaller than those of training from the start. Signs turn once the mean
/// of their gradients has turned, which takes some 1 / (1 - beta2) steps; a run has hundreds.
optim::DiodeMixOptions diodeMixOptions(const TrainOptions &options) {
  optim::DiodeMixOptions result(options.lr);
  result.betas({0.9, 0.99}).eps(1e-8).seed(static_cast<int64_t>(options.seed));
  result.rounding(options.rounding == "stochastic" ? Rounding::Stochastic : Rounding::Residual);
  result.moments(options.moments == "i8"     ? MomentType::Block8
                 : options.moments == "bf16" ? MomentType::BF16
                                             : MomentType::F32);
  return result;
}

} // namespace

std::unique_ptr<torch::optim::Optimizer> cli::makeOptimizer(const TrainOptions &options, TrainModel &model) {
  if (options.optimizer == "sgd")
    return std::make_unique<torch::optim::SGD>(model.parameters(), torch::optim::SGDOptions(options.lr).momentum(0.9));
  if (options.optimizer == "adamw")
    return std::make_unique<torch::optim::AdamW>(model.parameters(), torch::optim::AdamWOptions(options.lr));
  return std::make_unique<optim::DiodeMix>(model.named_parameters(), diodeMixOptions(options));
}

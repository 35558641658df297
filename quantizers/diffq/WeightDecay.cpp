// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/WeightDecay.h"

#include "quantizers/optim/DiodeMix.h"

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

using namespace bq;

namespace {

template <typename... Options>
void clear(torch::optim::OptimizerOptions &options) {
  const auto clearOne = [](auto *known) {
    if (known)
      known->weight_decay(0);
  };
  (clearOne(dynamic_cast<Options *>(&options)), ...);
}

} // namespace

void diffq::clearWeightDecay(torch::optim::OptimizerOptions &options) {
  clear<torch::optim::AdagradOptions, torch::optim::AdamOptions, torch::optim::AdamWOptions,
        torch::optim::RMSpropOptions, torch::optim::SGDOptions, optim::DiodeMixOptions>(options);
}

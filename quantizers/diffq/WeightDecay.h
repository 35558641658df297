// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The weight decay of any optimizer's options.
#ifndef BQ_QUANTIZERS_DIFFQ_WEIGHTDECAY_H
#define BQ_QUANTIZERS_DIFFQ_WEIGHTDECAY_H

#include <torch/optim/optimizer.h>

namespace bq::diffq {

/// Sets the weight decay to 0 where these are options of Adagrad, Adam, AdamW, RMSprop, SGD or DiodeMix; others are
/// left as they are.
void clearWeightDecay(torch::optim::OptimizerOptions &options);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_WEIGHTDECAY_H

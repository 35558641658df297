// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How the learning rate changes during training.
#ifndef BQ_TOOLS_BQC_TRAIN_SCHEDULE_H
#define BQ_TOOLS_BQC_TRAIN_SCHEDULE_H

#include <cstdint>
#include <string>

namespace bq::cli {

/// Factor on the learning rate at `step` of `steps`. `constant`: 1. `cosine`: (1 + cos(pi step / steps)) / 2, from 1
/// towards 0. `step`: 1 in the first half, 1/10 in the third quarter, 1/100 in the last.
double scheduleFactor(const std::string &schedule, int64_t step, int64_t steps);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_SCHEDULE_H

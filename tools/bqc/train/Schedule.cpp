// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Schedule.h"

#include <cmath>

double bq::cli::scheduleFactor(const std::string &schedule, int64_t step, int64_t steps) {
  const double progress = static_cast<double>(step) / static_cast<double>(steps);
  if (schedule == "cosine")
    return (1 + std::cos(std::acos(-1.0) * progress)) / 2;
  if (schedule == "step")
    return progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01;
  return 1;
}

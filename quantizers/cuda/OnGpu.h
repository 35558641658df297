// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Operators registered for GPUs.
#ifndef BQ_QUANTIZERS_CUDA_ONGPU_H
#define BQ_QUANTIZERS_CUDA_ONGPU_H

#include "quantizers/cuda/Place.h"

#include <utility>

namespace bq::gpu {

/// call() is `kernel`, the function of the operator `op` for any device, which first says what is missing for GPUs.
template <auto kernel, const char *op>
struct OnGpu;
template <typename Result, typename... Args, Result (*kernel)(Args...), const char *op>
struct OnGpu<kernel, op> {
  static Result call(Args... args) {
    checkDriver(op);
    return kernel(std::forward<Args>(args)...);
  }
};

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_ONGPU_H

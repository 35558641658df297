// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Several products of one layer on LibTorch's threads.
#ifndef BQ_QUANTIZERS_PRODUCTS_H
#define BQ_QUANTIZERS_PRODUCTS_H

#include "quantizers/Tensors.h"

#include <ATen/Parallel.h>

namespace bq {

/// The products of a convolution, which differ in where they read and write.
struct GroupedProducts {
  LinearArgs args; ///< Of the first.
  /// From one to the next: bytes of x and of y, elements of the bias.
  int64_t xStep = 0, yStep = 0, biasStep = 0;

  LinearArgs at(int64_t i) const {
    LinearArgs own = args;
    own.x = static_cast<const uint8_t *>(args.x) + i * xStep;
    own.y = static_cast<uint8_t *>(args.y) + i * yStep;
    own.bias = args.bias ? args.bias + i * biasStep : nullptr;
    return own;
  }
};

/// Calls run(i, parallel) for each product, `parallel` being the threads that it may use: one after the other on all of
/// them, or where there are as many products as threads, side by side. Throws for the first Status that failed.
template <typename Run>
void forEachProduct(const char *op, int64_t products, Run run) {
  if (products < at::get_num_threads() || products == 1) {
    for (int64_t i = 0; i < products; ++i)
      check(op, run(i, parallelFor));
    return;
  }
  at::parallel_for(0, products, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      check(op, run(i, serialFor));
  });
}

} // namespace bq

#endif // BQ_QUANTIZERS_PRODUCTS_H

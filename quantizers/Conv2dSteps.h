// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How a convolution goes over its images.
#ifndef BQ_QUANTIZERS_CONV2DSTEPS_H
#define BQ_QUANTIZERS_CONV2DSTEPS_H

#include <ATen/core/ATen_fwd.h>
#include <c10/util/ArrayRef.h>

namespace bq {

/// As operators take it: lists of one or two numbers, borrowed.
struct Conv2dSteps {
  at::IntArrayRef stride, padding, dilation;
  int64_t groups = 1;
};

} // namespace bq

#endif // BQ_QUANTIZERS_CONV2DSTEPS_H

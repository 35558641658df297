// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Convolutions on the CPU whose groups are small: one kernel for all groups, without patches in memory.
#ifndef BQ_DIALECT_CORE_DIRECTCONV2D_H
#define BQ_DIALECT_CORE_DIRECTCONV2D_H

#include "dialect/core/KernelAbi.h"

namespace bq::abi {

/// Whether a kernel takes all of `groups` groups of so many outputs and channels together, with taps in so many columns
/// (Conv2dGeometry::groups): what the outputs in a vector of at least four lanes read then is one piece of a pixel, no
/// longer than the vector.
constexpr bool isDirectConv2d(int64_t groups, int64_t outputs, int64_t channels, int64_t kernelWidth) {
  return groups > 1 && (outputs == 1 || outputs == 2 || outputs == 4) && outputs % channels == 0 &&
         kernelWidth * channels <= 12;
}

/// Tasks are the output lines of all images, line by line, for each piece of the channels: Artifact::tasks pieces.
/// Weights as in LinearFn, of all groups: [N, K], K = kernelHeight * kernelWidth * C. Images and `y` as in PrepareFn
/// and LinearFn; the images have at least one pixel. `columnScale` and `activationScale` as in PrepareFn. `scratch`:
/// Artifact::scratchBytes for each thread, 64-byte aligned.
using DirectConv2dFn = void (*)(const uint8_t *codes, const void *scales, const void *zeros, const WeightTable *table,
                                const float *columnScale, const float *bias, const void *x,
                                const Conv2dGeometry *geometry, const float *activationScale, void *y, void *scratch,
                                int64_t yStride, int64_t begin, int64_t end);

} // namespace bq::abi

#endif // BQ_DIALECT_CORE_DIRECTCONV2D_H

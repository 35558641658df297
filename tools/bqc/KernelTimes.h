// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How long a kernel takes to be there, in processes that start with nothing.
#ifndef BQ_TOOLS_BQC_KERNELTIMES_H
#define BQ_TOOLS_BQC_KERNELTIMES_H

#include "codegen/KernelSpec.h"
#include "dialect/core/Status.h"

namespace bq::cli {

/// Milliseconds; minima over three processes each.
struct KernelTimes {
  double coldCompile = 0; ///< Empty cache: opening the compiler, compiling, storing, loading.
  double warmCompile = 0; ///< Compiling once more in such a process.
  double diskLoad = 0;    ///< The kernel is in the disk cache: finding and loading it.
};

/// Starts this program anew (`bqc load-kernel`) with a cache folder of its own, which is removed again.
Expected<KernelTimes> measureKernelTimes(const KernelSpec &spec);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_KERNELTIMES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a kernel takes of a GPU, as the compiler reports it.
#ifndef BQ_CODEGEN_CUDA_RESOURCES_H
#define BQ_CODEGEN_CUDA_RESOURCES_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bq {

struct KernelResources {
  std::string entry;
  int64_t registers = 0;  ///< For each thread.
  int64_t spillBytes = 0; ///< For each thread: stores to and loads from local memory for want of registers.
  int64_t stackBytes = 0; ///< For each thread, what is spilled included.
};

/// Reads the lines of `ptxas -v` in a log of NVRTC, kernels in their order there. A cubin holds the same but for what
/// is spilled, and in sections that are not documented. Internal where the log has no kernel or a kernel lacks a
/// number.
Expected<std::vector<KernelResources>> parseResources(std::string_view log);

} // namespace bq

#endif // BQ_CODEGEN_CUDA_RESOURCES_H

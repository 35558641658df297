// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a kernel is made for: a CPU or a GPU.
#ifndef BQ_DIALECT_CORE_TARGET_H
#define BQ_DIALECT_CORE_TARGET_H

#include "dialect/core/CpuTarget.h"
#include "dialect/core/CudaTarget.h"

#include <variant>

namespace bq {

using Target = std::variant<CpuTarget, CudaTarget>;

/// CpuTarget::str(), or CudaTarget::str() after "cuda:"; different for different targets, so part of a kernel's key.
std::string str(const Target &target);

/// As on a command line: `cpu` (CpuTarget::fromEnvironment), `cpu:NAME` (CpuTarget::parse), or `cuda:ARCH`
/// (CudaTarget::parse). Errors name what is accepted.
Expected<Target> parseTarget(std::string_view text);

/// The number of rows that the linear kernel for an x of m rows is made for on a target (abi::kernelRows,
/// cuda::kernelRows); 0 = any number.
int kernelRows(const Target &target, int64_t m);

} // namespace bq

#endif // BQ_DIALECT_CORE_TARGET_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The backend that runs kernels compiled for this CPU.
#ifndef BQ_RUNTIME_CPU_CPUBACKEND_H
#define BQ_RUNTIME_CPU_CPUBACKEND_H

#include "dialect/core/CpuTarget.h"
#include "runtime/Backend.h"
#include "runtime/KernelCache.h"

#include <memory>

namespace bq {

/// A backend for `target`, whose kernels come from `cache`, which outlives it. cpuBackend() is the one for this
/// process; others are for tests, and for measuring with a cache of one's own. An error where this machine cannot run
/// `target`.
Expected<std::unique_ptr<Backend>> createCpuBackend(const CpuTarget &target, KernelCache &cache);

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUBACKEND_H

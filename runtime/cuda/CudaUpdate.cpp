// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaUpdate.h"

using namespace bq;

/// What GpuUpdate.h launches with.
static auto launcher(const LoadedCudaKernel &kernel, cuda::Stream stream) {
  return [&kernel, stream](auto function, size_t index, int64_t rows, auto... arguments) {
    return kernel.launch<decltype(function)>(index, rows, stream, arguments...);
  };
}

Status bq::checkGradient(const LoadedCudaKernel &kernel, const UpdateArgs &args, const GradientReport &report,
                         cuda::Stream stream) {
  if (!args.n || !args.k)
    return {};
  return launchGradientCheck(args, report.found, report.host, report.ticket, launcher(kernel, stream));
}

Status bq::runUpdate(const LoadedCudaKernel &kernel, const UpdateArgs &args, const int64_t *found, void *memory,
                     cuda::Stream stream) {
  if (!args.n)
    return {};
  return launchUpdate(args, found, memory, kernel.kernel().artifact().scratchBytes, launcher(kernel, stream));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Calls on a GPU as one CUDA graph, and the time they take.
#ifndef BQ_TOOLS_BQC_CALLGRAPH_H
#define BQ_TOOLS_BQC_CALLGRAPH_H

#include "runtime/cuda/Driver.h"

#include <functional>
#include <utility>

namespace bq::cli {

/// Puts call number `index`, from 0, on the stream; it may throw, and must not wait for the GPU.
using GpuCall = std::function<Status(int64_t index)>;

/// Calls that have been recorded once and are launched together, so that nothing of the host is between them. One
/// thread at a time.
class CallGraph {
public:
  /// Captures `calls` calls on `stream` of `device`, which is not the default stream. Unsupported where the driver has
  /// no graphs; other errors are those of a call or the driver's.
  static Expected<CallGraph> record(const CudaDevice &device, cuda::Stream stream, int64_t calls, const GpuCall &call);
  CallGraph(CallGraph &&other) noexcept
      : device(other.device), stream(other.stream), calls(other.calls), exec(std::exchange(other.exec, nullptr)) {}
  CallGraph &operator=(CallGraph &&) = delete;
  ~CallGraph();

  /// Of one call, on average over the graph; waits for the GPU.
  Expected<double> microseconds() const;

private:
  CallGraph(const CudaDevice &device, cuda::Stream stream, int64_t calls, cuda::GraphExec exec)
      : device(&device), stream(stream), calls(calls), exec(exec) {}

  const CudaDevice *device;
  cuda::Stream stream;
  int64_t calls;
  cuda::GraphExec exec;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_CALLGRAPH_H

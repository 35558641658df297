// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels for the GPUs of a process: found in memory, on disk, or compiled, once each, and loaded where needed.
#ifndef BQ_RUNTIME_CUDA_CUDAKERNELS_H
#define BQ_RUNTIME_CUDA_CUDAKERNELS_H

#include "runtime/ArtifactCache.h"
#include "runtime/OnceTable.h"
#include "runtime/cuda/CudaKernel.h"

namespace bq {

/// Usable from any thread; kernels stay in memory as long as this.
class CudaKernels {
public:
  /// Both outlive this.
  CudaKernels(const Driver &gpus, ArtifactCache &artifacts) : gpus(gpus), artifacts(artifacts) {}

  const Driver &driver() const { return gpus; }
  /// What is compiled for on a device: BQ_CUDA_ARCH, or its compute capability. Unsupported where that is too low.
  Expected<CudaTarget> target(const CudaDevice &device) const;

  /// The kernel of a spec on `device`: in memory in about a microsecond, from disk in milliseconds, else compiled, in
  /// tenths of a second. One that is not in memory is InvalidArgument while `stream`, of that device, is being captured
  /// into a graph: code cannot be loaded then. The text names bq::prepare and what to prepare. Otherwise errors are
  /// those of the compiler, of CudaKernel::load, and of target().
  Expected<const LoadedCudaKernel *> get(const KernelSpec &spec, const CudaDevice &device, cuda::Stream stream);

  /// Compiles and loads kernels ahead, so that get() finds them in memory; several at once on threads that end with
  /// this call. All are tried; the error is that of the first that failed.
  Status prepare(const std::vector<KernelSpec> &specs, const CudaDevice &device);

  /// Those of Driver::process(), in the disk cache of KernelCache::process(). Errors are theirs.
  static Expected<CudaKernels *> process();

private:
  Expected<const LoadedCudaKernel *> make(const CompileRequest &request, const KernelKey &key,
                                          const CudaDevice &device);

  const Driver &gpus;
  ArtifactCache &artifacts;
  OnceTable<CudaKernel> kernels; ///< By the key's text: one for all devices of an architecture.
};

/// Whether an error of CudaKernels::get is the kernel's own and would come again: neither the caller's to put right
/// (InvalidArgument) nor one that may pass (Io: no memory).
bool isLasting(const Error &error);

/// The error with the first line of its text: what follows is long, and is told when it first happens.
Error firstLine(const Error &error);

/// Whether a caller does without a kernel that could not be got, by dequantizing the weight and multiplying with
/// LibTorch: where the error is lasting; any other is to be returned. Warns on stderr then, once for each kernel in a
/// process.
bool fallsBack(const KernelSpec &spec, const Error &error);

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAKERNELS_H

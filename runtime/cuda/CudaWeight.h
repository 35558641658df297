// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Linear layers on a GPU.
#ifndef BQ_RUNTIME_CUDA_CUDAWEIGHT_H
#define BQ_RUNTIME_CUDA_CUDAWEIGHT_H

#include "runtime/KernelTable.h"
#include "runtime/cuda/CudaKernels.h"
#include "runtime/cuda/FragmentWeight.h"

#include <array>
#include <atomic>
#include <string>
#include <vector>

namespace bq {

/// Bytes that a call needs besides its operands, on the device, each at a multiple of 16.
struct LinearMemoryBytes {
  int64_t panel = 0;     ///< Prepared activations.
  int64_t workspace = 0; ///< Parts of sums, where the sum over K is split.
  int64_t counters = 0;  ///< Zero before the first call and after every call.
};

/// That memory; not to be used by two calls at once, so one for each stream. Null where no bytes are needed.
struct LinearMemory {
  void *panel = nullptr;
  void *workspace = nullptr;
  void *counters = nullptr;
};

/// A prepacked weight in the memory of a GPU, and the kernels of the calls on it. Usable from any thread.
class CudaWeight {
public:
  /// What `packed` describes, in `memory` on `device`, at a multiple of 64: CudaRows::prepack writes it, and the caller
  /// keeps it there; `packed` itself is needed no longer. `kernels` outlives this. `mixedCodes`: of the format
  /// `mixed`, as cuda::MixedLinearFn has them, which the caller keeps too; null for others.
  CudaWeight(const FragmentWeight &packed, const CudaDevice &device, const void *memory, CudaKernels &kernels,
             const uint8_t *mixedCodes = nullptr);

  const Format &format() const { return weightFormat; }
  int64_t n() const { return rows; }
  int64_t k() const { return columns; }
  const CudaDevice &device() const { return place; }

  /// The kernel for a call, found in nanoseconds after the first call of its kind; of `args` the types, m, bias and
  /// activation count. InvalidArgument where m does not fit 32 bits. Otherwise errors are those of CudaKernels::get;
  /// lasting ones are remembered, by their first line. Only where n() is positive. The kernel lives as long as
  /// `kernels`.
  Expected<const LoadedCudaKernel *> kernel(const LinearArgs &args, cuda::Stream stream) const;
  /// What kernel() will ask for, to be given to CudaKernels::prepare where several weights are prepared at once.
  KernelSpec spec(const LinearArgs &args) const;
  /// Compiles and loads the kernels for calls with these numbers of rows (CudaKernels::prepare); of `args` all counts
  /// but m that counts in kernel(). kernel() then finds them also during capture.
  Status prepare(LinearArgs args, const std::vector<int64_t> &rows) const;

  /// What a call with m rows takes of the caller's memory.
  LinearMemoryBytes memoryBytes(const LoadedCudaKernel &kernel, int64_t m) const;

  /// y = activation(x W^T + bias), or x W, on `stream` of device(), which is not waited for. `kernel` is what kernel()
  /// gave for these `args`, whose pointers are to memory of the device. InvalidArgument where args break a rule;
  /// otherwise errors are those of the launch.
  Status linear(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory,
                cuda::Stream stream) const;

private:
  static float *rowScales(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory);
  /// The panel of rows first, first + 1, ... of x, args.m in all.
  Status prepareRows(const LoadedCudaKernel &kernel, const LinearArgs &args, int64_t first, const LinearMemory &memory,
                     cuda::Stream stream) const;
  Status multiply(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory, const void *x,
                  int64_t xStride, cuda::Stream stream) const;

  /// What the calls on one weight can vary but for m.
  struct CallKey {
    ElementType dataType;
    Compute compute;
    Activation activation;
    bool isGradient, hasBias;
    int activationBits;
    std::array<int64_t, 2> patch; ///< Height and width; zeros for rows.

    explicit CallKey(const LinearArgs &args);
    explicit CallKey(const KernelSpec &spec);
    friend bool operator==(const CallKey &l, const CallKey &r) {
      return l.dataType == r.dataType && l.compute == r.compute && l.activation == r.activation &&
             l.isGradient == r.isGradient && l.hasBias == r.hasBias && l.activationBits == r.activationBits &&
             l.patch == r.patch;
    }
  };
  /// The kernels of one kind of calls, by cuda::kernelRows(m), for patches 0.
  struct Kind {
    ~Kind();
    mutable std::array<std::atomic<const LoadedCudaKernel *>, cuda::maxExactRows + 1> loaded{};
    mutable std::array<std::atomic<const Error *>, cuda::maxExactRows + 1> failed{};
  };
  const Kind &kind(const LinearArgs &args) const;
  Expected<const LoadedCudaKernel *> search(const LinearArgs &args, const Kind &kind, cuda::Stream stream) const;

  template <typename T>
  const T *at(const FragmentWeight::Part &part) const {
    return part ? reinterpret_cast<const T *>(static_cast<const uint8_t *>(memory) + part.offset) : nullptr;
  }

  const CudaDevice &place;
  CudaKernels &kernels;
  const void *memory;
  const uint8_t *mixedCodes;
  Format weightFormat;
  int64_t rows, columns;
  ElementType scaleType;
  ZeroPointType zeroType;
  FragmentWeight::Part codes, scales, zeros, table, permutation, columnScale;
  std::string layout;
  mutable KernelTable<CallKey, Kind> kinds;
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAWEIGHT_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which NVIDIA GPU a kernel is made for: a compute capability, or the emulator that runs kernels on the CPU.
#ifndef BQ_DIALECT_CORE_CUDATARGET_H
#define BQ_DIALECT_CORE_CUDATARGET_H

#include "dialect/core/Status.h"

#include <string>
#include <string_view>

namespace bq {

struct CudaTarget {
  int major = 9, minor = 0; ///< Compute capability. The emulator gets the kernels of 9.0.
  bool isEmulator = false;
  int multiprocessors = 2; ///< Of the emulator: what a grid should fill, 1 to 1024.

  /// The capability as one number: 80, 90, 120.
  int sm() const { return major * 10 + minor; }
  /// Whether code is made for this architecture alone, which the suffix `a` says: from 9.0 on.
  bool isSpecific() const { return !isEmulator && sm() >= 90; }
  /// "sm_80", "sm_90a", "emu" or "emu:132", which parse() takes back; a part of a kernel's key, and but for the
  /// emulator also what NVRTC's --gpu-architecture takes.
  std::string str() const;

  /// "sm_80" and the like, or "emu" or "emu:N" for N multiprocessors, each also after "cuda:". The suffix `a` is
  /// implied where there is one. Numbers above those known are taken, since a device may be newer than this program.
  /// Errors list the names.
  static Expected<CudaTarget> parse(std::string_view name);

  friend bool operator==(const CudaTarget &l, const CudaTarget &r) {
    return l.major == r.major && l.minor == r.minor && l.isEmulator == r.isEmulator &&
           l.multiprocessors == r.multiprocessors;
  }
};

} // namespace bq

#endif // BQ_DIALECT_CORE_CUDATARGET_H

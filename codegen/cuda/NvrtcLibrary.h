// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// NVIDIA's run-time compiler, opened when it is first needed.
#ifndef BQ_CODEGEN_CUDA_NVRTCLIBRARY_H
#define BQ_CODEGEN_CUDA_NVRTCLIBRARY_H

#include "codegen/cuda/NvrtcFile.h"

#include <cstddef>
#include <string>
#include <vector>

namespace bq {

/// The open library: what it says of itself, and its functions, which are thread-safe for different programs. The
/// prototypes are those of nvrtc.h, whose types are opaque pointers and enumerations.
struct NvrtcLibrary {
  using Program = void *;
  using Result = int; ///< 0 = success

  NvrtcFile file;
  int major = 0, minor = 0;       ///< Version
  std::vector<int> architectures; ///< Compute capabilities as CudaTarget::sm(), ascending.

  const char *(*getErrorString)(Result) = nullptr;
  Result (*createProgram)(Program *, const char *source, const char *name, int headerCount, const char *const *headers,
                          const char *const *includeNames) = nullptr;
  Result (*destroyProgram)(Program *) = nullptr;
  Result (*compileProgram)(Program, int optionCount, const char *const *options) = nullptr;
  Result (*getLogSize)(Program, size_t *) = nullptr;
  Result (*getLog)(Program, char *) = nullptr;
  Result (*getPtxSize)(Program, size_t *) = nullptr;
  Result (*getPtx)(Program, char *) = nullptr;
  Result (*getCubinSize)(Program, size_t *) = nullptr;
  Result (*getCubin)(Program, char *) = nullptr;

  std::string version() const { return std::to_string(major) + "." + std::to_string(minor); }

  /// The library at NvrtcFile::find(), opened on the first call and never closed; 5 ms, 100 ms where it is not in the
  /// system's file cache. Errors are those of find(), or Unsupported where what is there cannot be used. Any thread.
  static Expected<const NvrtcLibrary *> get();
  /// Opens a library; the caller owns the description, the library stays open.
  static Expected<NvrtcLibrary> open(const NvrtcFile &file);
};

} // namespace bq

#endif // BQ_CODEGEN_CUDA_NVRTCLIBRARY_H

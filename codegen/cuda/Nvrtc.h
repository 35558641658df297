// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// CUDA C++ to machine code for a GPU.
#ifndef BQ_CODEGEN_CUDA_NVRTC_H
#define BQ_CODEGEN_CUDA_NVRTC_H

#include "codegen/cuda/NvrtcLibrary.h"
#include "dialect/core/CudaTarget.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq {

/// What NVRTC made of one program.
struct CudaCode {
  /// A cubin for exactly the target; for a device newer than NVRTC knows, PTX for the newest that it does, which the
  /// driver compiles when it is loaded.
  std::vector<uint8_t> code;
  bool isPtx = false;
  std::string ptx;
  std::string log; ///< Warnings, and a cubin's resources as ptxas prints them.
  double milliseconds = 0;
};

/// How much NVRTC makes of a program.
enum class Effort {
  Full,
  /// Nine tenths of the time. Loads come to stand right before their use, and loops that multiply are up to a tenth
  /// longer: for kernels that nothing is loaded ahead in.
  Low,
};

/// The options that a program is compiled with. Unsupported where the library does not know the architecture and newer
/// ones.
Expected<std::vector<std::string>> nvrtcOptions(const NvrtcLibrary &library, const CudaTarget &target, Effort effort);

/// Compiles `source`, whose lines messages call `name` where no #line says otherwise. `target` is not the emulator. Any
/// thread, several at once. Internal where NVRTC refuses the program; the first line of the text says why and with
/// which options, then follow the log and the source.
Expected<CudaCode> compileCuda(const NvrtcLibrary &library, const std::string &source, const std::string &name,
                               const CudaTarget &target, Effort effort = Effort::Full);

} // namespace bq

#endif // BQ_CODEGEN_CUDA_NVRTC_H

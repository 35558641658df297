// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Makes the CUDA C++ of kernels callable on the CPU: compiled by the host's C++ compiler against EmuPrelude.h.
#ifndef BQ_RUNTIME_EMU_EMUCOMPILER_H
#define BQ_RUNTIME_EMU_EMUCOMPILER_H

#include "dialect/core/Status.h"

#include <memory>
#include <string>

namespace bq::emu {

/// A loaded library of kernels, closed when the last owner is gone. Immutable: may be used from any thread.
class CompiledKernel {
public:
  CompiledKernel(const CompiledKernel &) = delete;
  CompiledKernel &operator=(const CompiledKernel &) = delete;
  ~CompiledKernel();

  /// Compiles `text`, kernels without a prelude, by $CXX or else `c++`, with this program's sanitizers. Takes some
  /// tenths of a second. NotFound where there is no compiler, Io where no temporary file can be written, Internal where
  /// the text is refused; that error holds the compiler's first line about it.
  static Expected<std::shared_ptr<CompiledKernel>> compile(const std::string &text);

  /// The function of a kernel, for one thread, to be called within launch() only; cast it to its type in
  /// dialect/core/CudaAbi.h. Null where there is none of that name.
  void *entry(const std::string &name) const;

private:
  explicit CompiledKernel(void *library) : library(library) {}

  void *library;
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUCOMPILER_H

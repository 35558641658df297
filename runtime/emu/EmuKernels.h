// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels made for the emulator, kept in memory.
#ifndef BQ_RUNTIME_EMU_EMUKERNELS_H
#define BQ_RUNTIME_EMU_EMUKERNELS_H

#include "codegen/Artifact.h"
#include "codegen/KernelSpec.h"
#include "runtime/CompilerLibrary.h"
#include "runtime/OnceTable.h"
#include "runtime/emu/EmuCompiler.h"
#include "runtime/emu/Emulator.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bq::emu {

/// Compiled kernels of one spec. Usable from any thread.
class EmuKernel {
public:
  EmuKernel(Artifact artifact, std::shared_ptr<CompiledKernel> code)
      : description(std::move(artifact)), code(std::move(code)) {}

  /// All but the object.
  const Artifact &artifact() const { return description; }

  /// Launches artifact().gpuKernels[index], a function of type Fn, over `rows` rows with these arguments. `buffers` is
  /// all of the memory that it may use.
  template <typename Fn, typename... Args>
  Status launch(size_t index, int64_t rows, const std::vector<Buffer> &buffers, Args... args) const {
    auto function = reinterpret_cast<Fn>(entry(index));
    return launch(index, rows, buffers, [=] { function(args...); });
  }

private:
  void *entry(size_t index) const;
  Status launch(size_t index, int64_t rows, const std::vector<Buffer> &buffers,
                const std::function<void()> &callOneThread) const;

  Artifact description;
  std::shared_ptr<CompiledKernel> code;
  mutable std::atomic<uint64_t> launches{0};
};

/// Makes each kernel once. Usable from any thread: who asks for a kernel that is being made waits for it, while others
/// are made.
class EmuKernels {
public:
  /// The errors are those of the compiler and of CompiledKernel::compile().
  Expected<std::shared_ptr<const EmuKernel>> get(const KernelSpec &spec);

private:
  Expected<std::shared_ptr<const EmuKernel>> make(const KernelSpec &spec);

  CompilerLibrary compiler{std::string()};
  OnceTable<EmuKernel> known;
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUKERNELS_H

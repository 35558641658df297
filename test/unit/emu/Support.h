// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the emulator's tests share: kernels from text, and launches with their arguments.
#ifndef BQ_TEST_UNIT_EMU_SUPPORT_H
#define BQ_TEST_UNIT_EMU_SUPPORT_H

#include "runtime/emu/EmuCompiler.h"
#include "runtime/emu/Emulator.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace bq::emu {

/// The compiled `text`; null, and the test has failed, where it is refused.
inline std::shared_ptr<CompiledKernel> compile(const std::string &text) {
  Expected<std::shared_ptr<CompiledKernel>> kernel = CompiledKernel::compile(text);
  if (kernel)
    return *kernel;
  ADD_FAILURE() << kernel.error().message;
  return nullptr;
}

template <typename T>
Buffer readable(const std::vector<T> &values) {
  return {values.data(), values.size() * sizeof(T), false};
}
template <typename T>
Buffer writable(std::vector<T> &values) {
  return {values.data(), values.size() * sizeof(T), true};
}

/// Kernels of one text, and how they are launched.
struct TestKernel {
  explicit TestKernel(const std::string &text, int64_t threads = 32, int64_t sharedBytes = 0) : library(compile(text)) {
    kernel.entry = "test";
    kernel.threads = threads;
    kernel.sharedBytes = sharedBytes;
  }

  /// Launches the kernel `test` with `arguments`.
  template <typename... Arguments>
  Status run(const std::vector<Buffer> &buffers, Arguments... arguments) const {
    auto function = library ? reinterpret_cast<void (*)(Arguments...)>(library->entry(kernel.entry)) : nullptr;
    if (!function)
      return invalidArgument("no kernel of the name " + kernel.entry);
    return launch(kernel, grid, buffers, [&] { function(arguments...); }, seed);
  }

  std::shared_ptr<CompiledKernel> library;
  GpuKernel kernel;
  Grid grid;
  uint64_t seed = 1;
};

/// The text of a kernel's function around its body.
inline std::string kernelText(const std::string &parameters, const std::string &body) {
  return "extern \"C\" __global__ void __launch_bounds__(1024) test(" + parameters + ") {\n#line 1 \"kernel.mlir\"\n" +
         body + "\n}\n";
}

/// Fails unless `status` is an error whose text has `part`.
inline void expectFault(const Status &status, const std::string &part) {
  ASSERT_FALSE(status.ok()) << "expected: " << part;
  EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message << "\nexpected: " << part;
}

} // namespace bq::emu

#endif // BQ_TEST_UNIT_EMU_SUPPORT_H

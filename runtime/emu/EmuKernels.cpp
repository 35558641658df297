// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuKernels.h"

using namespace bq;
using namespace bq::emu;

void *EmuKernel::entry(size_t index) const { return code->entry(description.gpuKernels[index].entry); }

Status EmuKernel::launch(size_t index, int64_t rows, const std::vector<Buffer> &buffers,
                         const std::function<void()> &callOneThread) const {
  const GpuKernel &kernel = description.gpuKernels[index];
  const Grid grid = {(rows + kernel.rowsPerBlock - 1) / kernel.rowsPerBlock, kernel.gridY, kernel.gridZ};
  // Kernels launched equally often do not run in the same orders.
  const uint64_t seed = std::hash<std::string>()(kernel.entry) + launches++;
  return emu::launch(kernel, grid, buffers, callOneThread, seed);
}

Expected<std::shared_ptr<const EmuKernel>> EmuKernels::get(const KernelSpec &spec) {
  return known.get(spec.str(), [] {}, [&] { return make(spec); });
}

Expected<std::shared_ptr<const EmuKernel>> EmuKernels::make(const KernelSpec &spec) {
  Expected<const CompilerApi *> api = compiler.get();
  if (!api)
    return api.error();
  CudaTarget target;
  target.isEmulator = true;
  Expected<Artifact> artifact = (*api)->compile({spec, target, /*schedule=*/""});
  if (!artifact)
    return artifact.error();
  Expected<std::shared_ptr<CompiledKernel>> code =
      CompiledKernel::compile({artifact->object.begin(), artifact->object.end()});
  if (!code)
    return code.error();
  artifact->object = {};
  for (const GpuKernel &kernel : artifact->gpuKernels)
    if (!(*code)->entry(kernel.entry))
      return internalError("the text of " + artifact->name + " has no kernel " + kernel.entry);
  return std::shared_ptr<const EmuKernel>(std::make_shared<EmuKernel>(std::move(*artifact), std::move(*code)));
}

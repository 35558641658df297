// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuUpdate.h"

#include "runtime/GpuUpdate.h"
#include "runtime/NotFinite.h"
#include "runtime/emu/EmuMemory.h"

using namespace bq;
using namespace bq::emu;

Status emu::runUpdate(EmuKernels &kernels, const UpdateArgs &args) {
  if (!args.n)
    return {};
  Expected<std::shared_ptr<const EmuKernel>> made = kernels.get(gpuUpdateSpec(args));
  if (!made)
    return made.error();
  const EmuKernel &kernel = **made;
  const int64_t count = args.n * args.k, valueBytes = kernel.artifact().scratchBytes;
  const Buffer gradient{args.gradient, static_cast<size_t>(count * sizeOf(args.dataType))};
  EmuMemory found(sizeof(int64_t)), report(sizeof(int64_t)), memory(updateMemoryBytes(args, valueBytes));
  *found.data<int64_t>() = *report.data<int64_t>() = 0;
  auto launchWith = [&](const std::vector<Buffer> &buffers) {
    return [&kernel, &buffers](auto function, size_t index, int64_t rows, auto... arguments) {
      return kernel.launch<decltype(function)>(index, rows, buffers, arguments...);
    };
  };
  // A ticket that any place can be taken from again.
  constexpr int64_t ticket = int64_t{1} << 62;
  if (!args.gradientIsFinite)
    if (Status status = launchGradientCheck(args, found.data<int64_t>(), report.data<int64_t>(), ticket,
                                            launchWith({gradient, found.writable(), report.writable()}));
        !status)
      return status;
  std::vector<Buffer> buffers{gradient, found.readable(), memory.writable()};
  UpdateArgs state = args;
  forEachState(state,
               [&](auto *pointer, int64_t bytes) { buffers.push_back({pointer, static_cast<size_t>(bytes), true}); });
  if (Status status = launchUpdate(args, found.data<int64_t>(), memory.data<void>(), valueBytes, launchWith(buffers));
      !status)
    return status;
  if (!*report.data<int64_t>())
    return {};
  return notFinite(*report.data<int64_t>() - ticket, args.packed ? args.k : 0);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Linear layers on the emulator.
#ifndef BQ_RUNTIME_EMU_EMULINEAR_H
#define BQ_RUNTIME_EMU_EMULINEAR_H

#include "runtime/emu/EmuWeight.h"

#include <vector>

namespace bq::emu {

/// `count` rows of `rowBytes` bytes, `strideBytes` apart: what lies between them is no part of it.
std::vector<Buffer> rowBuffers(const void *data, int64_t count, int64_t rowBytes, int64_t strideBytes, bool writable);

/// Backend::linear() on verified arguments with rows in them.
Status runLinear(EmuKernels &kernels, const EmuWeight &weight, const LinearArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMULINEAR_H

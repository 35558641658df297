// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of optimizers on the emulator.
#ifndef BQ_RUNTIME_EMU_EMUUPDATE_H
#define BQ_RUNTIME_EMU_EMUUPDATE_H

#include "runtime/Backend.h"
#include "runtime/emu/EmuKernels.h"

namespace bq::emu {

/// Backend::update on verified arguments.
Status runUpdate(EmuKernels &kernels, const UpdateArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUUPDATE_H

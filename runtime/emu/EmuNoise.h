// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise, its gradient and the range of a weight on the emulator.
#ifndef BQ_RUNTIME_EMU_EMUNOISE_H
#define BQ_RUNTIME_EMU_EMUNOISE_H

#include "runtime/DiffqNoiseArgs.h"
#include "runtime/emu/EmuKernels.h"

namespace bq::emu {

/// Backend::diffqNoise, diffqNoiseGrad and weightRange on verified arguments.
Status runDiffqNoise(EmuKernels &kernels, const DiffqNoiseArgs &args);
Status runDiffqNoiseGrad(EmuKernels &kernels, const DiffqNoiseGradArgs &args);
Status runWeightRange(EmuKernels &kernels, const WeightRangeArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUNOISE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of the format `mixed` on the emulator.
#ifndef BQ_RUNTIME_EMU_EMUMIXED_H
#define BQ_RUNTIME_EMU_EMUMIXED_H

#include "runtime/Backend.h"
#include "runtime/MixedQuantizeArgs.h"
#include "runtime/emu/EmuKernels.h"

namespace bq::emu {

/// Backend::dequantize of a verified weight of that format, of one row or more.
Status dequantizeMixed(EmuKernels &kernels, const CanonicalWeight &weight, float *y);
/// Backend::embedding in the same way: all rows are made, and those of valid indices taken.
Status embedMixed(EmuKernels &kernels, const CanonicalWeight &weight, const int64_t *indices, int64_t count, float *y);

/// MixedQuantizer::quantizeMixed.
Status quantizeMixed(EmuKernels &kernels, const MixedQuantizeArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUMIXED_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is done row by row on canonical weights, on the emulator: embedding, dequantize, quantize; and fake
/// quantization.
#ifndef BQ_RUNTIME_EMU_EMUROWS_H
#define BQ_RUNTIME_EMU_EMUROWS_H

#include "runtime/Backend.h"
#include "runtime/emu/EmuKernels.h"

namespace bq::emu {

/// The calls of Backend of these names, on verified weights and arguments.
Status runEmbedding(EmuKernels &kernels, const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y);
Status runDequantize(EmuKernels &kernels, const CanonicalWeight &weight, void *y);
Status runQuantize(EmuKernels &kernels, const QuantizeArgs &args);
Status runFakeQuantize(EmuKernels &kernels, const FakeQuantizeArgs &args);
Status runFakeQuantizeGrad(EmuKernels &kernels, const FakeQuantizeGradArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUROWS_H

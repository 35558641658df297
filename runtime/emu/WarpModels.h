// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the operations of a warp compute, without regard to how its lanes come together.
#ifndef BQ_RUNTIME_EMU_WARPMODELS_H
#define BQ_RUNTIME_EMU_WARPMODELS_H

#include "runtime/emu/EmuAbi.h"

namespace bq::emu {

constexpr int warpLanes = 32;

/// One operation of a whole warp, with the fragments of PTX ISA 9.0, section 9.7.14.5. Products and sums of bf16 and
/// f16 are computed in double and rounded once to f32; those of integers wrap. Shuffles and transpose (movmatrix) fill
/// word 0 of the results. ldmatrix reads 16 bytes at every lane's row. Results may not be operands.
void runWarpOp(BQEmuWarpOp op, const BQEmuOperands *const (&operands)[warpLanes],
               unsigned (*const (&results)[warpLanes])[4]);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_WARPMODELS_H

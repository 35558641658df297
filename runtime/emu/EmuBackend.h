// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The backend that runs kernels for GPUs on the emulator, for tests.
#ifndef BQ_RUNTIME_EMU_EMUBACKEND_H
#define BQ_RUNTIME_EMU_EMUBACKEND_H

#include "runtime/Backend.h"

namespace bq {

/// Named "emu". Every call compiles the kernels it lacks, and keeps them for the life of the process. Memory is given
/// to a launch byte by byte as it belongs to the operands, so that any other access is an error (Internal). Orders of
/// threads come from a number that counts the launches of each kernel: the same calls give the same orders. Compute i16
/// is Unsupported. ParallelFor is not used. Lives as long as the process.
Expected<Backend *> emuBackend();

} // namespace bq

#endif // BQ_RUNTIME_EMU_EMUBACKEND_H

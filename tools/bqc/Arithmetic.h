// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The arithmetic peak of this machine, measured beside the kernels that are judged by it.
#ifndef BQ_TOOLS_BQC_ARITHMETIC_H
#define BQ_TOOLS_BQC_ARITHMETIC_H

#include "dialect/core/CpuTarget.h"
#include "dialect/core/Types.h"
#include "runtime/Backend.h"

#include <cstdint>
#include <string_view>

namespace bq::cli {

/// A class of arithmetic instructions: the fastest of `target` for a kind of sum of products.
struct ArithmeticClass {
  std::string_view name;           ///< Of the instruction, such as "vpdpbusd zmm".
  double operationsPerStep = 0;    ///< Multiplications and additions of one step().
  void (*step)(int64_t) = nullptr; ///< Does `count` steps of independent chains.
};

/// The class that kernels of this compute use on `target`: int8 dot product for i8 and i16, bf16 dot product, f32 FMA.
/// Where the target has no bf16 products, bf16 uses f32 FMA. The target must be one that this machine can run.
ArithmeticClass arithmeticClass(Compute compute, const CpuTarget &target);

/// Operations a second of a short burst (about 2 ms) of `threads` threads of `parallel`.
double measurePeak(const ArithmeticClass &arithmetic, ParallelFor parallel, int threads);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_ARITHMETIC_H

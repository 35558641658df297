// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// bq.philox in integer arithmetic of the machine.
#ifndef BQ_PASSES_CPU_EXPANDPHILOX_H
#define BQ_PASSES_CPU_EXPANDPHILOX_H

#include "mlir/IR/PatternMatch.h"

namespace bq {

/// Adds the pattern that writes a bq.philox as `arith`, on vectors and scalars.
void populateExpandPhiloxPatterns(mlir::RewritePatternSet &patterns);

} // namespace bq

#endif // BQ_PASSES_CPU_EXPANDPHILOX_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The ordered list of ways to compute an op.
#ifndef BQ_PASSES_SCHEDULES_H
#define BQ_PASSES_SCHEDULES_H

#include "dialect/BQDialect.h"
#include "dialect/core/Target.h"

#include <string>

namespace bq {

/// One way to compute an op.
struct Candidate {
  llvm::StringLiteral name;
  /// The schedule, or null with the reason of refusal in `reason`.
  ScheduleAttr (*propose)(mlir::Operation *op, const Target &target, std::string &reason);
};

/// Whether this op is a layer, which needs a schedule.
bool isLayer(mlir::Operation *op);

/// The candidates for a layer, best first.
llvm::ArrayRef<Candidate> candidatesFor(mlir::Operation *op, const Target &target);
/// Those of candidatesFor() for GPUs.
llvm::ArrayRef<Candidate> gpuCandidatesFor(mlir::Operation *op);

/// The schedule of the first candidate that accepts, or of `forced` where that is not empty; null with the reason in
/// `error` where there is none. `visit` is called for each candidate in order with "chosen", "not reached", or why it
/// refuses.
ScheduleAttr chooseSchedule(mlir::Operation *op, const Target &target, llvm::StringRef forced, std::string &error,
                            llvm::function_ref<void(llvm::StringRef name, llvm::StringRef verdict)> visit);

/// The CPU that a pass's option names; an error at `op` where there is none.
mlir::FailureOr<CpuTarget> targetOf(mlir::Operation *op, llvm::StringRef cpu);

/// The layout on `target` of the weight that one kernel of a layer reads, with any schedule.
Layout layoutFor(ProductLayer layer, const CpuTarget &target);

} // namespace bq

#endif // BQ_PASSES_SCHEDULES_H

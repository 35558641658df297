// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"

namespace bq {
#define GEN_PASS_DEF_SELECTSCHEDULE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

struct SelectSchedule : bq::impl::SelectScheduleBase<SelectSchedule> {
  using Base::Base;

  void runOnOperation() override {
    Expected<CpuTarget> target = CpuTarget::parse(cpu.getValue());
    if (!target) {
      getOperation()->emitError() << target.error().message;
      return signalPassFailure();
    }
    auto result = getOperation()->walk([&](Operation *op) {
      ArrayRef<Candidate> candidates = candidatesFor(op);
      if (candidates.empty() || op->hasAttr("schedule"))
        return WalkResult::advance();
      return failed(select(op, candidates, *target)) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  LogicalResult select(Operation *op, ArrayRef<Candidate> candidates, const CpuTarget &target) {
    ScheduleAttr chosen;
    std::string names;
    for (const Candidate &candidate : candidates) {
      names += (names.empty() ? "" : ", ") + candidate.name.str();
      if (!schedule.empty() && schedule.getValue() != candidate.name)
        continue;
      std::string reason;
      ScheduleAttr proposal = chosen ? ScheduleAttr() : candidate.propose(op, target, reason);
      if (remarks)
        op->emitRemark() << candidate.name << ": " << (chosen ? "not reached" : proposal ? "chosen" : reason);
      if (!proposal && !chosen && !schedule.empty())
        return op->emitError() << "schedule '" << candidate.name << "' refuses: " << reason;
      if (proposal)
        chosen = proposal;
    }
    if (!chosen)
      return op->emitError() << "schedule '" << schedule << "' is not known: use one of " << names;
    op->setAttr("schedule", chosen);
    return success();
  }
};

} // namespace

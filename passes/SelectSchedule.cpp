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
    Target target;
    if (arch.empty()) {
      FailureOr<CpuTarget> parsed = targetOf(getOperation(), cpu);
      if (failed(parsed))
        return signalPassFailure();
      target = *parsed;
    } else {
      Expected<CudaTarget> parsed = CudaTarget::parse(arch.getValue());
      if (!parsed) {
        getOperation()->emitError() << parsed.error().message;
        return signalPassFailure();
      }
      target = *parsed;
    }
    auto result = getOperation()->walk([&](Operation *op) {
      if (!isLayer(op) || op->hasAttr("schedule"))
        return WalkResult::advance();
      std::string error;
      ScheduleAttr chosen = chooseSchedule(op, target, schedule, error, [&](StringRef name, StringRef verdict) {
        if (remarks)
          op->emitRemark() << name << ": " << verdict;
      });
      if (!chosen) {
        op->emitError() << error;
        return WalkResult::interrupt();
      }
      op->setAttr("schedule", chosen);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Schedules.h"

#include "dialect/core/KernelAbi.h"

using namespace mlir;
using namespace bq;

FailureOr<CpuTarget> bq::targetOf(Operation *op, StringRef cpu) {
  Expected<CpuTarget> target = CpuTarget::parse(std::string_view(cpu));
  if (!target)
    return op->emitError() << target.error().message;
  return *target;
}

Layout bq::layoutFor(WeightType weight, const CpuTarget &target) {
  return Layout::get(weight.getFormat(), weight.getN(), weight.getK(), target);
}

namespace {

ScheduleAttr proposeStream(Operation *op, const CpuTarget &target, std::string &reason) {
  auto linear = cast<LinearOp>(op);
  int64_t rows = cast<RankedTensorType>(linear.getInput().getType()).getDimSize(0);
  if (ShapedType::isDynamic(rows)) {
    reason = "the number of rows is not known";
    return {};
  }
  if (rows < 1 || rows > abi::maxExactRows) {
    reason = std::to_string(rows) + " rows; the accumulators of at most " + std::to_string(abi::maxExactRows) +
             " fit the registers";
    return {};
  }
  MLIRContext *context = op->getContext();
  return ScheduleAttr::get(context, "stream", rows, 1,
                           toAttr(context, layoutFor(linear.getWeight().getType(), target)));
}

ScheduleAttr proposePanel(Operation *op, const CpuTarget &target, std::string &reason) {
  auto linear = cast<LinearOp>(op);
  int64_t rows = cast<RankedTensorType>(linear.getInput().getType()).getDimSize(0);
  if (!ShapedType::isDynamic(rows)) {
    reason = "made for any number of rows, got " + std::to_string(rows);
    return {};
  }
  // Accumulators, the weights of a step and a broadcast activation fill the 32 registers of AVX512, else 16.
  int64_t tile = target.has(CpuTarget::AVX512) ? 6 : target.has(CpuTarget::AVX2) ? 4 : 2;
  int64_t vectors = target.has(CpuTarget::AVX512) ? 4 : 2;
  MLIRContext *context = op->getContext();
  return ScheduleAttr::get(context, "panel", tile, vectors,
                           toAttr(context, layoutFor(linear.getWeight().getType(), target)));
}

ScheduleAttr proposeReference(Operation *op, const CpuTarget &target, std::string &) {
  MLIRContext *context = op->getContext();
  return ScheduleAttr::get(context, "reference", 1, 1,
                           toAttr(context, layoutFor(cast<LinearOp>(op).getWeight().getType(), target)));
}

ScheduleAttr proposeRows(Operation *op, const CpuTarget &, std::string &) {
  return ScheduleAttr::get(op->getContext(), "rows", 0, 0, {});
}

constexpr Candidate linearCandidates[] = {
    {"stream", proposeStream}, {"panel", proposePanel}, {"reference", proposeReference}};
constexpr Candidate rowCandidates[] = {{"rows", proposeRows}};

} // namespace

ArrayRef<Candidate> bq::candidatesFor(Operation *op) {
  if (isa<LinearOp>(op))
    return linearCandidates;
  if (isa<EmbeddingOp, QuantizeOp, DequantizeOp>(op))
    return rowCandidates;
  return {};
}

ScheduleAttr bq::chooseSchedule(Operation *op, const CpuTarget &target, StringRef forced, std::string &error,
                                function_ref<void(StringRef name, StringRef verdict)> visit) {
  ScheduleAttr chosen;
  std::string names;
  for (const Candidate &candidate : candidatesFor(op)) {
    names += (names.empty() ? "" : ", ") + candidate.name.str();
    if (!forced.empty() && forced != candidate.name)
      continue;
    std::string reason;
    ScheduleAttr proposal = chosen ? ScheduleAttr() : candidate.propose(op, target, reason);
    visit(candidate.name, chosen ? "not reached" : proposal ? "chosen" : StringRef(reason));
    if (!proposal && !chosen && !forced.empty())
      error = "schedule '" + forced.str() + "' refuses: " + reason;
    if (proposal)
      chosen = proposal;
  }
  if (!chosen && error.empty())
    error = "schedule '" + forced.str() + "' is not known: use one of " + names;
  return chosen;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Schedules.h"

#include "dialect/core/KernelAbi.h"
#include "passes/cpu/DirectConv2d.h"
#include "passes/cpu/MixedLinear.h"

using namespace mlir;
using namespace bq;

FailureOr<CpuTarget> bq::targetOf(Operation *op, StringRef cpu) {
  Expected<CpuTarget> target = CpuTarget::parse(std::string_view(cpu));
  if (!target)
    return op->emitError() << target.error().message;
  return *target;
}

Layout bq::layoutFor(ProductLayer layer, const CpuTarget &target) {
  auto weight = cast<WeightType>(layer.getWeight().getType());
  const int64_t rows = isDirectConv2d(layer) ? weight.getN() : layer.getKernelRows();
  return Layout::get(weight.getFormat(), rows, weight.getK(), target);
}

namespace {

LayoutAttr layoutOn(const Target &target, ProductLayer layer) {
  return toAttr(layer.getContext(), layoutFor(layer, std::get<CpuTarget>(target)));
}

bool hasRows(Operation *op, std::string &reason) {
  if (!ShapedType::isDynamic(cast<ProductLayer>(op).getProductRows()))
    return true;
  reason = "the number of rows is not known";
  return false;
}

/// As many blocks of rows of the weight as there are, up to a few. Accumulators, the weights of a step and a broadcast
/// activation fill the 32 registers of AVX512, else 16.
ScheduleAttr schedulePanel(Operation *op, const Target &target) {
  auto layer = cast<ProductLayer>(op);
  const CpuTarget &cpu = std::get<CpuTarget>(target);
  const int64_t accumulators = cpu.has(CpuTarget::AVX512) ? 24 : cpu.has(CpuTarget::AVX2) ? 8 : 4;
  const int64_t vectors = std::min<int64_t>(layoutFor(layer, cpu).blocks(), cpu.has(CpuTarget::AVX512) ? 4 : 2);
  const int64_t rows = std::min<int64_t>(accumulators / vectors, 12);
  return ScheduleAttr::get(op->getContext(), "panel", rows, vectors, 1, layoutOn(target, layer));
}

ScheduleAttr proposeStream(Operation *op, const Target &target, std::string &reason) {
  auto layer = cast<ProductLayer>(op);
  const int64_t rows = layer.getProductRows();
  if (!hasRows(op, reason))
    return {};
  if (rows < 1 || rows > abi::maxExactRows) {
    reason = std::to_string(rows) + " rows; the accumulators of at most " + std::to_string(abi::maxExactRows) +
             " fit the registers";
    return {};
  }
  MLIRContext *context = op->getContext();
  return ScheduleAttr::get(context, "stream", rows, 1, 1, layoutOn(target, layer));
}

ScheduleAttr proposePanel(Operation *op, const Target &target, std::string &reason) {
  const int64_t rows = cast<ProductLayer>(op).getProductRows();
  if (ShapedType::isDynamic(rows))
    return schedulePanel(op, target);
  reason = "made for any number of rows, got " + std::to_string(rows);
  return {};
}

ScheduleAttr proposeReference(Operation *op, const Target &target, std::string &) {
  MLIRContext *context = op->getContext();
  return ScheduleAttr::get(context, "reference", 1, 1, 1, layoutOn(target, cast<ProductLayer>(op)));
}

ScheduleAttr proposeDirect(Operation *op, const Target &target, std::string &) {
  auto layer = cast<ProductLayer>(op);
  return ScheduleAttr::get(op->getContext(), "direct", directTileWidth(layer, std::get<CpuTarget>(target)), 1, 1,
                           layoutOn(target, layer));
}

/// A mixed weight meets all rows, or so many at a time where any number is given.
ScheduleAttr scheduleMixed(Operation *op, const Target &target, StringRef algorithm) {
  auto layer = cast<ProductLayer>(op);
  const int64_t given = layer.getProductRows(), rows = ShapedType::isDynamic(given) ? mixedRowMultiple : given;
  return ScheduleAttr::get(op->getContext(), algorithm, rows, 1, 1, layoutOn(target, layer));
}

ScheduleAttr proposeMixedPanel(Operation *op, const Target &target, std::string &reason) {
  // Short rows have few groups of a width to multiply one after the other.
  constexpr int64_t shortRow = 1024, manyRows = 4;
  auto layer = cast<ProductLayer>(op);
  auto weight = cast<WeightType>(layer.getWeight().getType());
  const CpuTarget &cpu = std::get<CpuTarget>(target);
  const int64_t rows = layer.getProductRows(), k = weight.getK();
  if (!hasMixedBytes(weight.getFormat(), k, cpu, reason))
    return {};
  if (!ShapedType::isDynamic(rows) && !(cpu.has(CpuTarget::AVX512) && rows >= manyRows && k < shortRow))
    reason = "made for any number of rows, and with AVX512 for " + std::to_string(manyRows) + " of fewer than " +
             std::to_string(shortRow) + " columns, got " + std::to_string(rows) + " of " + std::to_string(k);
  else if (layer.getCompute().getValue() == Compute::I16 && !cpu.has(CpuTarget::AVX512) && !cpu.has(CpuTarget::AVXVNNI))
    reason = "cpu '" + cpu.name + "' has no VNNI, and two planes of bytes take it longer than words";
  else
    return schedulePanel(op, target);
  return {};
}

ScheduleAttr proposeMixedStream(Operation *op, const Target &target, std::string &reason) {
  auto weight = cast<WeightType>(cast<ProductLayer>(op).getWeight().getType());
  if (!hasRows(op, reason) || !canStreamMixed(weight.getFormat(), weight.getK(), std::get<CpuTarget>(target), reason))
    return {};
  return scheduleMixed(op, target, "stream");
}

ScheduleAttr proposeMixedGroups(Operation *op, const Target &target, std::string &reason) {
  auto weight = cast<WeightType>(cast<ProductLayer>(op).getWeight().getType());
  if (!canGroupMixed(weight.getFormat(), weight.getK(), std::get<CpuTarget>(target), reason))
    return {};
  return scheduleMixed(op, target, "groups");
}

ScheduleAttr proposeMixedReference(Operation *op, const Target &target, std::string &) {
  return scheduleMixed(op, target, "reference");
}

ScheduleAttr proposeRows(Operation *op, const Target &, std::string &) {
  return ScheduleAttr::get(op->getContext(), "rows", 0, 0, 1, {});
}

ScheduleAttr refusePrepack(Operation *, const Target &, std::string &reason) {
  reason = "kernels prepack weights for GPUs alone";
  return {};
}

constexpr Candidate productCandidates[] = {
    {"stream", proposeStream}, {"panel", proposePanel}, {"reference", proposeReference}};
constexpr Candidate mixedCandidates[] = {{"panel", proposeMixedPanel},
                                         {"stream", proposeMixedStream},
                                         {"groups", proposeMixedGroups},
                                         {"reference", proposeMixedReference}};
constexpr Candidate directCandidates[] = {{"direct", proposeDirect}};
constexpr Candidate rowCandidates[] = {{"rows", proposeRows}};
ScheduleAttr refuseMixedRows(Operation *, const Target &, std::string &reason) {
  reason = "the runtime moves mixed codes on CPUs without a kernel";
  return {};
}

ScheduleAttr refuseGradient(Operation *, const Target &, std::string &reason) {
  reason = "CPUs take it as the product with a weight that is transposed before it is prepacked; kernels are for cuda "
           "targets";
  return {};
}

ScheduleAttr refuseMagnitudes(Operation *, const Target &, std::string &reason) {
  reason = "weights are decomposed on the CPU alone";
  return {};
}

constexpr Candidate gradientCandidates[] = {{"gradient", refuseGradient}};
constexpr Candidate prepackCandidates[] = {{"rows", refusePrepack}};
constexpr Candidate mixedRowCandidates[] = {{"rows", refuseMixedRows}};
constexpr Candidate gpuMagnitudeCandidates[] = {{"rows", refuseMagnitudes}};

} // namespace

bool bq::isLayer(Operation *op) {
  return isa<ProductLayer, LinearInputGradientOp, EmbeddingOp, QuantizeOp, DequantizeOp, PrepackOp, FakeQuantizeOp,
             FakeQuantizeGradOp, MagnitudeSumsOp, UpdateOp, WeightRangeOp, DiffqNoiseOp, DiffqNoiseGradOp>(op);
}

ArrayRef<Candidate> bq::candidatesFor(Operation *op, const Target &target) {
  if (std::holds_alternative<CudaTarget>(target))
    return isa<MagnitudeSumsOp>(op) ? ArrayRef<Candidate>(gpuMagnitudeCandidates) : gpuCandidatesFor(op);
  if (auto layer = dyn_cast<ProductLayer>(op); layer && isDirectConv2d(layer))
    return directCandidates;
  if (auto layer = dyn_cast<ProductLayer>(op))
    return cast<WeightType>(layer.getWeight().getType()).getFormat().isMixed() ? ArrayRef<Candidate>(mixedCandidates)
                                                                               : productCandidates;
  if (isa<LinearInputGradientOp>(op))
    return gradientCandidates;
  if (isa<PrepackOp>(op))
    return prepackCandidates;
  auto isMixed = [](Value weight) { return cast<WeightType>(weight.getType()).getFormat().isMixed(); };
  if (auto dequantize = dyn_cast<DequantizeOp>(op); dequantize && isMixed(dequantize.getWeight()))
    return mixedRowCandidates;
  if (auto quantize = dyn_cast<QuantizeOp>(op); quantize && isMixed(quantize.getWeight()))
    return mixedRowCandidates;
  return rowCandidates;
}

ScheduleAttr bq::chooseSchedule(Operation *op, const Target &target, StringRef forced, std::string &error,
                                function_ref<void(StringRef name, StringRef verdict)> visit) {
  ScheduleAttr chosen;
  std::string names;
  for (const Candidate &candidate : candidatesFor(op, target)) {
    names += (names.empty() ? "" : ", ") + candidate.name.str();
    if (!forced.empty() && forced != candidate.name)
      continue;
    std::string reason;
    ScheduleAttr proposal = chosen ? ScheduleAttr() : candidate.propose(op, target, reason);
    visit(candidate.name, chosen ? "not reached" : proposal ? "chosen" : StringRef(reason));
    if (!proposal && !chosen)
      error = "schedule '" + candidate.name.str() + "' refuses: " + reason;
    if (proposal)
      chosen = proposal;
  }
  if (!chosen && error.empty())
    error = "schedule '" + forced.str() + "' is not known: use one of " + names;
  return chosen;
}

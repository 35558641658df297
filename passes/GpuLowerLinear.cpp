// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/FragmentPlan.h"
#include "passes/gpu/MixedDecoder.h"

#include "dialect/core/CudaAbi.h"

namespace bq {
#define GEN_PASS_DEF_GPULOWERLINEAR
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

struct GpuLowerLinear : bq::impl::GpuLowerLinearBase<GpuLowerLinear> {
  void runOnOperation() override {
    if (failed(lowerSoleOps<ProductLayer>(getOperation(),
                                          [&](func::FuncOp func, ProductLayer op) { return lower(func, op); })) ||
        failed(lowerSoleOps<LinearInputGradientOp>(
            getOperation(), [&](func::FuncOp func, LinearInputGradientOp op) { return lowerGradient(func, op); })))
      signalPassFailure();
  }

  LogicalResult lower(func::FuncOp func, ProductLayer op) {
    if (failed(verifySchedule(op)))
      return failure();
    FragmentPlan plan = FragmentPlan::get(op);
    OpBuilder builder(func);
    GpuBuilder b(op->getLoc(), builder);
    if (plan.readsPanel) {
      OpBuilder::InsertionGuard guard(b);
      writePrepareRows(b, plan, (func.getName() + "_prepare").str());
    }
    auto write = plan.isStreamed                        ? writeMixedLinear
                 : plan.format.isMixed()                ? writeMixedPanels
                 : plan.form == FragmentPlan::Form::F32 ? writeSimtLinear
                                                        : writeMmaLinear;
    write(b, plan, makeKernel(b, plan, func.getName()));
    return success();
  }

  LogicalResult lowerGradient(func::FuncOp func, LinearInputGradientOp op) {
    ScheduleAttr schedule = *op.getSchedule();
    const Format &format = op.getWeight().getType().getFormat();
    const Compute compute = op.getCompute().getValue();
    if (schedule.getAlgorithm() != "gradient" || !FragmentPlan::hasGradient(format, compute))
      return op->emitError() << "no lowering for schedule '" << schedule.getAlgorithm() << "' with compute "
                             << str(compute) << " and format " << format.str();
    const FragmentPlan plan = FragmentPlan::get(op);
    if (plan.rows < 1 || plan.rows > cuda::maxExactRows || plan.blocks < 1 ||
        plan.tileColumns() > FragmentPlan::maxGradientColumns)
      return op->emitError() << "schedule 'gradient' takes 1 to " << cuda::maxExactRows << " rows and up to "
                             << FragmentPlan::maxGradientColumns << " columns in vectors, got " << plan.rows << " and "
                             << plan.tileColumns();
    if (plan.splits < 1 || (plan.splits - 1) * plan.blocksPerSplit() >= plan.layout.blocks())
      return op->emitError() << "schedule 'gradient' cannot part " << plan.layout.blocks() << " blocks of rows into "
                             << plan.splits;
    OpBuilder builder(func);
    GpuBuilder b(op->getLoc(), builder);
    writeMmaGradient(b, plan, makeKernel(b, plan, func.getName()));
    return success();
  }

  /// The schedule, which may be written by hand, is one that there is a kernel for.
  LogicalResult verifySchedule(ProductLayer op) {
    ScheduleAttr schedule = *op.getSchedule();
    auto weight = cast<WeightType>(op.getWeight().getType());
    StringRef name = schedule.getAlgorithm();
    if (weight.getFormat().isMixed())
      return name == "stream" ? verifyStream(op, schedule, weight) : verifyPanel(op, schedule, weight);
    const Compute compute = op.getCompute().getValue();
    const bool fits = name == "simt"       ? compute == Compute::F32
                      : name == "fragment" ? compute == Compute::BF16 && op.getPatch().empty()
                      : name == "pipeline" ? compute == Compute::BF16 || compute == Compute::I8
                                           : false;
    if (!fits)
      return op->emitError() << "no lowering for schedule '" << name << "' with compute " << str(compute);
    const int64_t rows = schedule.getRows(), blocks = schedule.getVectors();
    const int64_t segments = FragmentLayout::get(weight.getFormat(), weight.getN(), weight.getK()).segments();
    const bool isTile =
        name == "pipeline" ? rows > 0 && rows <= 64 && rows % 8 == 0 : rows > 0 && rows <= cuda::maxExactRows;
    if (!isTile || blocks < 1 || blocks > (name == "simt" ? 1 : 4))
      return op->emitError() << "schedule '" << name << "' takes "
                             << (name == "pipeline" ? "8 to 64 rows in eights" : "1 to 16 rows") << " and "
                             << (name == "simt" ? "1 vector" : "1 to 4 vectors") << ", got " << rows << " and "
                             << blocks;
    return verifySplits(op, schedule, segments);
  }

  LogicalResult verifySplits(ProductLayer op, ScheduleAttr schedule, int64_t segments) {
    const int64_t splits = schedule.getSplits();
    if (splits < 1 || splits > segments ||
        (splits - 1) * static_cast<int64_t>(llvm::divideCeil(segments, splits)) >= segments)
      return op->emitError() << "schedule '" << schedule.getAlgorithm() << "' cannot part " << segments
                             << " segments into " << splits;
    return success();
  }

  LogicalResult refuseMixed(ProductLayer op, ScheduleAttr schedule, WeightType weight) {
    return op->emitError() << "no lowering for schedule '" << schedule.getAlgorithm() << "' with compute "
                           << str(op.getCompute().getValue()) << " and format " << weight.getFormat().str();
  }

  LogicalResult verifyPanel(ProductLayer op, ScheduleAttr schedule, WeightType weight) {
    const int64_t rows = schedule.getRows(), blocks = schedule.getVectors();
    if (schedule.getAlgorithm() != "panel" || op.getCompute().getValue() == Compute::I16)
      return refuseMixed(op, schedule, weight);
    if (rows < 8 || rows > 64 || rows % 8 || blocks != 1)
      return op->emitError() << "schedule 'panel' takes 8 to 64 rows in eights and 1 vector, got " << rows << " and "
                             << blocks;
    return verifySplits(op, schedule, FragmentPlan::layoutOf(op, /*isStreamed=*/false).segments());
  }

  LogicalResult verifyStream(ProductLayer op, ScheduleAttr schedule, WeightType weight) {
    const int64_t rows = schedule.getRows(), outputs = schedule.getVectors();
    if (op.getCompute().getValue() == Compute::I16 || !op.getPatch().empty())
      return refuseMixed(op, schedule, weight);
    const int64_t most = MixedDecoder::hasWholePieces(weight.getFormat(), weight.getK()) ? MixedDecoder::maxOutputs : 1;
    if (rows < 1 || rows > MixedDecoder::maxRows || outputs < 1 || outputs > most || schedule.getSplits() != 1)
      return op->emitError() << "schedule 'stream' takes 1 to " << MixedDecoder::maxRows << " rows, 1 to " << most
                             << " vectors and 1 split, got " << rows << ", " << outputs << " and "
                             << schedule.getSplits();
    return success();
  }

  FragmentBuffers makeKernel(GpuBuilder &b, const FragmentPlan &plan, StringRef name) {
    Type f32 = b.getF32Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
    auto pairs = [&](Type element) { return b.pointer(element.isF32() ? f32 : i32); };
    const bool isMixed = plan.format.isMixed();
    Type zero = isMixed ? i32 : plan.zero == ZeroPointType::F32 ? f32 : Type(b.getI16Type());
    Type table = isMixed ? i64 : plan.format.isTable() ? plan.tableForm(b).element : f32;
    SmallVector<Type> types = {b.pointer(i32),
                               pairs(plan.scaleType),
                               b.pointer(zero),
                               b.pointer(table),
                               b.pointer(f32),
                               plan.readsPanel ? b.pointer(i32) : b.floatPointer(plan.dataType),
                               b.pointer(f32),
                               b.pointer(i32),
                               b.pointer(f32),
                               b.floatPointer(plan.dataType),
                               b.pointer(f32),
                               b.pointer(i32),
                               i64,
                               i64,
                               i32};
    const bool readsPatches = plan.hasPatches() && !plan.readsPanel;
    if (readsPatches)
      FragmentBuffers::addPatchTypes(b, types);
    func::FuncOp func = b.kernel(name, types, {FragmentPlan::threads, plan.rows, plan.gridY(), plan.splits});
    FragmentBuffers buffers;
    unsigned next = 0;
    for (Value *buffer : {&buffers.codes, &buffers.scales, &buffers.zeros, &buffers.table, &buffers.bias, &buffers.x,
                          &buffers.rowScales, &buffers.permutation, &buffers.columnScale, &buffers.y,
                          &buffers.workspace, &buffers.counters, &buffers.xStride, &buffers.yStride, &buffers.m})
      *buffer = func.getArgument(next++);
    if (readsPatches)
      buffers.takePatches(func, next);
    return buffers;
  }
};

} // namespace

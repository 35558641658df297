// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/DirectConv2d.h"
#include "passes/cpu/MixedLinear.h"

#include "dialect/core/KernelAbi.h"

namespace bq {
#define GEN_PASS_DEF_LOWERLINEAR
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

struct LowerLinear : bq::impl::LowerLinearBase<LowerLinear> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    if (failed(lowerSoleOps<ProductLayer>(
            getOperation(), [&](func::FuncOp func, ProductLayer op) { return lower(func, op, *target); })))
      signalPassFailure();
  }

  LogicalResult lower(func::FuncOp func, ProductLayer op, const CpuTarget &target) {
    ScheduleAttr schedule = *op.getSchedule();
    LinearPlan plan = LinearPlan::get(op, target);
    if (schedule.getLayout() != toAttr(&getContext(), plan.layout))
      return op->emitError() << "the schedule's layout is not that of cpu '" << target.name << "', "
                             << toAttr(&getContext(), plan.layout);
    if (schedule.getAlgorithm() == "direct" && isDirectConv2d(op)) {
      if (failed(verifyTile(op, schedule)))
        return failure();
      OpBuilder builder(func);
      KernelBuilder b(op->getLoc(), builder, target, plan.layout.lanes);
      writeDirectConv2d(b, plan, makeFunction(b, func.getName(), directConv2dArguments(b, plan)));
      return success();
    }
    using Write = void (*)(KernelBuilder &, const LinearPlan &, const LinearBuffers &);
    const bool isMixed = plan.format.isMixed();
    auto write = llvm::StringSwitch<Write>(schedule.getAlgorithm())
                     .Case("stream", isMixed ? writeMixedStream : writeStreamLinear)
                     .Case("panel", isMixed ? writeMixedPanel : writePanelLinear)
                     .Case("groups", isMixed ? writeMixedGroups : Write())
                     .Case("reference", isMixed ? writeMixedReference : writeReferenceLinear)
                     .Default(nullptr);
    if (!write)
      return op->emitError() << "no lowering for schedule '" << schedule.getAlgorithm() << "'";
    if (failed(verifyTile(op, schedule)))
      return failure();

    OpBuilder builder(func);
    KernelBuilder b(op->getLoc(), builder, target, plan.layout.lanes);
    writePrepare(b, plan, (func.getName() + "_prepare").str());
    func::FuncOp kernel = makeFunction(b, func.getName(), isMixed ? mixedArguments(b, plan) : kernelArguments(b, plan));
    write(b, plan, isMixed ? mixedViews(b, plan, kernel) : views(b, plan, kernel, plan.segmentWords()));
    return success();
  }

  /// The tile of a schedule, which may be written by hand, is one that its lowering can do.
  LogicalResult verifyTile(ProductLayer op, ScheduleAttr schedule) {
    const int64_t rows = schedule.getRows(), vectors = schedule.getVectors();
    const auto weight = cast<WeightType>(op.getWeight().getType());
    auto refuse = [&](const Twine &rule) {
      return op->emitError() << "schedule '" << schedule.getAlgorithm() << "' takes " << rule << ", got " << rows
                             << " and " << vectors;
    };
    if (schedule.getAlgorithm() == "direct")
      return rows >= 1 && rows <= 16 && vectors == 1 ? success() : refuse("1 to 16 rows and 1 vector");
    const bool isStream = schedule.getAlgorithm() == "stream", isPanel = schedule.getAlgorithm() == "panel";
    const int64_t given = op.getProductRows();
    if (weight.getFormat().isMixed() && schedule.getAlgorithm() != "reference") {
      std::string reason;
      auto can = isStream ? canStreamMixed : isPanel ? hasMixedBytes : canGroupMixed;
      if (!can(weight.getFormat(), weight.getK(), *targetOf(op, cpu), reason))
        return op->emitError() << "schedule '" << schedule.getAlgorithm() << "' refuses: " << reason;
      if (isStream && ShapedType::isDynamic(given))
        return op->emitError() << "schedule '" << schedule.getAlgorithm() << "' takes a known number of rows";
    }
    if (isPanel)
      return rows >= panelRowMultiple && rows <= 32 && rows % panelRowMultiple == 0 && vectors >= 1 && vectors <= 8
                 ? success()
                 : refuse("an even number of rows up to 32 and 1 to 8 vectors");
    if (weight.getFormat().isMixed()) {
      const int64_t expected = ShapedType::isDynamic(given) ? mixedRowMultiple : given;
      return rows == expected && rows > 0 && vectors == 1 ? success() : refuse(Twine(expected) + " rows and 1 vector");
    }
    return rows == (isStream ? given : 1) && rows > 0 && vectors == 1
               ? success()
               : refuse(isStream ? "the rows of the input and 1 vector" : "1 row and 1 vector");
  }

  /// Elements of activations as prepared.
  Type panelType(KernelBuilder &b, const LinearPlan &plan) {
    return plan.hasWords()                       ? Type(b.getI16Type())
           : plan.isInteger()                    ? Type(b.getI8Type())
           : plan.form == LinearPlan::Form::BF16 ? Type(b.getBF16Type())
                                                 : Type(b.getF32Type());
  }

  void writePrepare(KernelBuilder &b, const LinearPlan &plan, StringRef name) {
    OpBuilder::InsertionGuard guard(b);
    Type index = b.getIndexType();
    const int64_t fields = sizeof(abi::Conv2dGeometry) / sizeof(int64_t);
    func::FuncOp prepare = makeFunction(
        b, name,
        {b.pointer(plan.dataType), b.pointer(b.getI32Type()), b.pointer(b.getF32Type()), b.pointer(b.getF32Type()),
         MemRefType::get({fields}, b.getI64Type()), b.pointer(panelType(b, plan)), b.pointer(plan.sumType(b)),
         b.pointer(b.getF32Type()), b.pointer(b.getF32Type()), index, index, index, index, index, index});
    writePrepareActivations(b, plan, prepare);
  }

  SmallVector<Type> kernelArguments(KernelBuilder &b, const LinearPlan &plan) {
    const Layout &layout = plan.layout;
    Type index = b.getIndexType(), zeroType = b.getI8Type();
    if (plan.zero == ZeroPointType::F32)
      zeroType = b.getF32Type();
    SmallVector<int64_t> perSegment = {layout.blocks(), layout.segments(), layout.lanes};
    return {MemRefType::get({layout.blocks(), layout.segments(), layout.segmentBytes()}, b.getI8Type()),
            MemRefType::get(perSegment, plan.scaleType),
            MemRefType::get(perSegment, zeroType),
            MemRefType::get({sizeof(abi::WeightTable)}, b.getI8Type()),
            MemRefType::get({layout.n}, b.getF32Type()),
            b.pointer(plan.dataWordType(b)),
            b.pointer(plan.sumType(b)),
            b.pointer(b.getF32Type()),
            b.pointer(plan.storageType(b)),
            b.pointer(b.getF32Type()),
            index,
            index,
            index,
            index,
            index};
  }

  /// The same signature; the names of arguments for a mixed weight are in abi::MixedIndex.
  SmallVector<Type> mixedArguments(KernelBuilder &b, const LinearPlan &plan) {
    SmallVector<Type> types = kernelArguments(b, plan);
    types[0] = b.pointer(b.getI8Type());
    types[1] = MemRefType::get({2}, b.getF32Type());
    types[2] = b.pointer(b.getI32Type());
    types[3] = MemRefType::get({abi::MixedIndex::widths}, b.getI64Type());
    types[5] = b.pointer(plan.isPanel ? plan.dataWordType(b) : panelType(b, plan));
    types[9] = MemRefType::get({mixedScratchBytes(plan)}, b.getI8Type());
    return types;
  }

  LinearBuffers mixedViews(KernelBuilder &b, const LinearPlan &plan, func::FuncOp kernel) {
    LinearBuffers buffers = views(b, plan, kernel, plan.isPanel ? plan.segmentWords() : plan.layout.segmentSize);
    Value far = b.index(std::numeric_limits<int32_t>::max());
    buffers.codes = b.view(buffers.codes, {ShapedType::kDynamic}, far);
    buffers.zeros = b.view(buffers.zeros, {ShapedType::kDynamic, abi::MixedIndex::widths}, far);
    return buffers;
  }

  /// `segmentWords`: elements of a segment of a row of x as prepared.
  LinearBuffers views(KernelBuilder &b, const LinearPlan &plan, func::FuncOp kernel, int64_t segmentWords) {
    auto argument = [&](unsigned i) -> Value { return kernel.getArgument(i); };
    LinearBuffers buffers;
    buffers.codes = argument(0);
    buffers.scales = argument(1);
    buffers.zeros = argument(2);
    buffers.table = argument(3);
    buffers.bias = argument(4);
    buffers.m = argument(11);
    const bool isKnown = plan.format.isMixed() && !plan.hasPaddedRows;
    buffers.paddedRows = isKnown ? b.index(plan.rows) : argument(12);
    buffers.begin = argument(13);
    buffers.end = argument(14);
    const int64_t segments = plan.layout.segments(), dynamic = ShapedType::kDynamic;
    buffers.data = b.view(argument(5), {plan.activationPlanes(), segments, dynamic, segmentWords}, buffers.paddedRows);
    buffers.sums = b.view(argument(6), {segments, dynamic}, buffers.paddedRows);
    buffers.rowScales = b.view(argument(7), {dynamic}, buffers.paddedRows);
    buffers.y = b.view(argument(8), {dynamic, plan.layout.n}, buffers.m, argument(10));
    buffers.scratch = argument(9);
    return buffers;
  }
};

} // namespace

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/LayerBuilder.h"

#include "dialect/BQDialect.h"
#include "dialect/core/KernelAbi.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace bq;

namespace {

class LayerBuilder {
public:
  LayerBuilder(MLIRContext *context, const KernelSpec &spec)
      : spec(spec), module(ModuleOp::create(UnknownLoc::get(context))),
        b(UnknownLoc::get(context), module->getBodyRegion()), data(toType(context, spec.dataType)),
        scale(toType(context, spec.scaleType)) {}

  OwningOpRef<ModuleOp> build() {
    const int64_t any = ShapedType::kDynamic;
    // A step on floats has none.
    Type weight =
        spec.k ? WeightType::get(b.getContext(), spec.n ? spec.n : any, spec.k, spec.format, scale, spec.zeroType)
               : Type();
    switch (spec.op) {
    case KernelSpec::Op::Linear:
    case KernelSpec::Op::Conv2d:
      buildProduct(weight);
      break;
    case KernelSpec::Op::LinearInputGradient: {
      const int64_t rows = spec.rows ? spec.rows : any;
      start({tensor({rows, spec.n}, data), weight}, tensor({rows, spec.k}, data));
      finish(LinearInputGradientOp::create(b, result, argument(0), argument(1),
                                           ComputeAttr::get(b.getContext(), spec.compute), flag(spec.permuted),
                                           ScheduleAttr()));
      break;
    }
    case KernelSpec::Op::Embedding:
      start({tensor({any}, b.getI64Type()), weight}, tensor({any, spec.k}, scale));
      finish(EmbeddingOp::create(b, result, argument(0), argument(1), ScheduleAttr()));
      break;
    case KernelSpec::Op::Quantize:
      start({tensor({any, spec.k}, data)}, weight);
      finish(QuantizeOp::create(b, result, argument(0), ScheduleAttr()));
      break;
    case KernelSpec::Op::Dequantize:
      start({weight}, tensor({any, spec.k}, scale));
      finish(DequantizeOp::create(b, result, argument(0), ScheduleAttr()));
      break;
    case KernelSpec::Op::Update:
      buildUpdate(weight, {any, spec.k}, {any, static_cast<int64_t>(llvm::divideCeil(spec.k, abi::momentBlock))});
      break;
    case KernelSpec::Op::UpdateDense:
      buildUpdate(tensor({any}, toType(b.getContext(), spec.weightType)), {any}, {any});
      break;
    case KernelSpec::Op::FakeQuantize:
    case KernelSpec::Op::FakeQuantizeGrad:
      buildFakeQuantize();
      break;
    case KernelSpec::Op::MagnitudeSums:
      buildMagnitudeSums();
      break;
    case KernelSpec::Op::DiffqNoise:
    case KernelSpec::Op::DiffqNoiseGrad:
    case KernelSpec::Op::WeightRange:
      buildNoise();
      break;
    case KernelSpec::Op::Prepack:
      start({weight}, weight);
      finish(PrepackOp::create(b, result, argument(0),
                               toAttr(b.getContext(), FragmentLayout::get(spec.format, /*n=*/1, spec.k)), spec.permuted,
                               ScheduleAttr()));
      break;
    }
    return std::move(module);
  }

private:
  Type tensor(ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); }
  Value argument(unsigned i) { return func.getArgument(i); }
  UnitAttr flag(bool isSet) { return isSet ? b.getUnitAttr() : UnitAttr(); }

  void buildFakeQuantize() {
    const int64_t any = ShapedType::kDynamic;
    const bool isGradient = spec.op == KernelSpec::Op::FakeQuantizeGrad, hasZero = spec.zeroType != ZeroPointType::None;
    Type x = tensor({any, any}, data), perRow = tensor({any}, b.getF32Type());
    SmallVector<Type> arguments(isGradient ? 2 : 1, x), results = {x};
    arguments.append(hasZero ? 2 : 1, perRow);
    if (isGradient)
      results.push_back(perRow);
    start(arguments, results);
    const unsigned next = isGradient ? 1 : 0;
    Value zero = hasZero ? argument(next + 2) : Value();
    auto format = FormatAttr::get(b.getContext(), spec.format);
    if (isGradient)
      finish(FakeQuantizeGradOp::create(b, TypeRange(results), argument(0), argument(1), argument(2), zero, format,
                                        ScheduleAttr()));
    else
      finish(FakeQuantizeOp::create(b, x, argument(0), argument(1), zero, format, ScheduleAttr()));
  }

  void start(TypeRange arguments, TypeRange resultTypes) {
    result = resultTypes.front();
    b.setInsertionPointToStart(module->getBody());
    func = func::FuncOp::create(b, spec.name(), b.getFunctionType(arguments, resultTypes));
    b.setInsertionPointToStart(func.addEntryBlock());
  }
  void finish(Operation *op) { func::ReturnOp::create(b, op->getResults()); }

  void buildMagnitudeSums() {
    const int64_t any = ShapedType::kDynamic;
    Type f32 = b.getF32Type(), rows = tensor({any}, f32);
    SmallVector<Type> arguments = {tensor({any, spec.k}, data), rows, tensor({spec.k}, f32), tensor({1}, f32)};
    SmallVector<Type> results = {rows, rows, tensor({any, spec.k}, f32)};
    b.setInsertionPointToStart(module->getBody());
    func = func::FuncOp::create(b, spec.name(), b.getFunctionType(arguments, results));
    b.setInsertionPointToStart(func.addEntryBlock());
    finish(MagnitudeSumsOp::create(b, results, argument(0), argument(1), argument(2), argument(3), spec.square,
                                   spec.divide, ScheduleAttr()));
  }

  void buildNoise() {
    const int64_t any = ShapedType::kDynamic;
    Type f32 = b.getF32Type(), elements = tensor({any}, data), floats = tensor({any}, f32);
    if (spec.op == KernelSpec::Op::WeightRange) {
      start({elements}, {floats, floats});
      finish(WeightRangeOp::create(b, floats, floats, argument(0), ScheduleAttr()));
      return;
    }
    Type scale = tensor({1}, f32), counter = tensor({4}, b.getI32Type());
    auto noise = NoiseAttr::get(b.getContext(), spec.noise);
    if (spec.op == KernelSpec::Op::DiffqNoise) {
      start({elements, floats, scale, counter}, elements);
      finish(DiffqNoiseOp::create(b, elements, argument(0), argument(1), argument(2), argument(3), noise,
                                  spec.groupSize, spec.rounds, ScheduleAttr()));
      return;
    }
    start({elements, floats, scale, counter}, {floats, floats, floats});
    finish(DiffqNoiseGradOp::create(b, floats, floats, floats, argument(0), argument(1), argument(2), argument(3),
                                    noise, spec.groupSize, spec.rounds, ScheduleAttr()));
  }

  void buildUpdate(Type weight, ArrayRef<int64_t> shape, ArrayRef<int64_t> blocks) {
    SmallVector<Type> state;
    for (int moment = 0; moment < 2 && spec.moments != MomentType::None; ++moment) {
      if (spec.moments == MomentType::Block8)
        state.append({tensor(shape, b.getI8Type()), tensor(blocks, b.getF32Type())});
      else
        state.push_back(tensor(shape, spec.moments == MomentType::F32   ? Type(b.getF32Type())
                                      : spec.moments == MomentType::F16 ? Type(b.getF16Type())
                                                                        : Type(b.getBF16Type())));
    }
    if (spec.rounding == Rounding::Residual)
      state.push_back(tensor(shape, b.getI8Type()));
    SmallVector<Type> arguments = {weight, tensor(shape, data), tensor({abi::updateOptions}, b.getF32Type()),
                                   tensor({4}, b.getI32Type())};
    arguments.append(state);
    SmallVector<Type> results = {weight};
    results.append(state);
    b.setInsertionPointToStart(module->getBody());
    func = func::FuncOp::create(b, spec.name(), b.getFunctionType(arguments, results));
    b.setInsertionPointToStart(func.addEntryBlock());
    finish(UpdateOp::create(b, weight, state, argument(0), argument(1), argument(2), argument(3),
                            func.getArguments().drop_front(4), UpdateRuleAttr::get(b.getContext(), spec.rule),
                            spec.biasCorrection, RoundingAttr::get(b.getContext(), spec.rounding),
                            ScaleUpdateAttr::get(b.getContext(), spec.scaling), ScheduleAttr()));
  }

  void buildProduct(Type weight) {
    const bool isConv = spec.op == KernelSpec::Op::Conv2d;
    const int64_t any = ShapedType::kDynamic, rows = spec.rows ? spec.rows : any;
    const int64_t channels = isConv ? spec.k / (spec.kernelHeight * spec.kernelWidth) : 0;
    SmallVector<Type> arguments = {
        isConv ? tensor({any, spec.groups * channels, any, any}, data) : tensor({rows, spec.k}, data), weight};
    if (spec.activationBits)
      arguments.push_back(tensor({}, b.getF32Type()));
    if (spec.hasBias)
      arguments.push_back(tensor({spec.n}, b.getF32Type()));
    start(arguments, isConv ? tensor({any, spec.n, any, any}, data) : tensor({rows, spec.n}, data));

    auto compute = ComputeAttr::get(b.getContext(), spec.compute);
    const Value scale = spec.activationBits ? argument(2) : Value();
    const IntegerAttr bits = spec.activationBits ? b.getI64IntegerAttr(spec.activationBits) : IntegerAttr();
    Operation *last = nullptr;
    if (isConv)
      // Stride, padding and dilation are the caller's.
      last = Conv2dOp::create(b, result, argument(0), argument(1), Value(), scale,
                              b.getDenseI64ArrayAttr({spec.kernelHeight, spec.kernelWidth}), DenseI64ArrayAttr(),
                              DenseI64ArrayAttr(), DenseI64ArrayAttr(), b.getI64IntegerAttr(spec.groups), compute,
                              ActivationAttr(), bits, flag(spec.permuted), flag(spec.columnFactors), ScheduleAttr());
    else
      last = LinearOp::create(b, result, argument(0), argument(1), Value(), scale, compute, ActivationAttr(), bits,
                              flag(spec.permuted), flag(spec.columnFactors), ScheduleAttr());
    if (spec.hasBias)
      last = AddBiasOp::create(b, result, last->getResult(0), argument(arguments.size() - 1));
    if (spec.activation != Activation::None)
      last = ActivateOp::create(b, result, last->getResult(0), ActivationAttr::get(b.getContext(), spec.activation));
    finish(last);
  }

  const KernelSpec &spec;
  OwningOpRef<ModuleOp> module;
  ImplicitLocOpBuilder b;
  Type data, scale, result;
  func::FuncOp func;
};

} // namespace

OwningOpRef<ModuleOp> bq::buildLayer(MLIRContext *context, const KernelSpec &spec) {
  return LayerBuilder(context, spec).build();
}

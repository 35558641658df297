// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/LayerBuilder.h"

#include "dialect/BQDialect.h"

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
    Type weight = WeightType::get(b.getContext(), spec.n ? spec.n : any, spec.k, spec.format, scale, spec.zeroType);
    switch (spec.op) {
    case KernelSpec::Op::Linear:
      buildLinear(weight);
      break;
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
    }
    return std::move(module);
  }

private:
  Type tensor(ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); }
  Value argument(unsigned i) { return func.getArgument(i); }

  void start(TypeRange arguments, Type resultType) {
    result = resultType;
    b.setInsertionPointToStart(module->getBody());
    func = func::FuncOp::create(b, spec.name(), b.getFunctionType(arguments, resultType));
    b.setInsertionPointToStart(func.addEntryBlock());
  }
  void finish(Operation *op) { func::ReturnOp::create(b, op->getResults()); }

  void buildLinear(Type weight) {
    const int64_t rows = spec.rows ? spec.rows : ShapedType::kDynamic;
    SmallVector<Type> arguments = {tensor({rows, spec.k}, data), weight};
    if (spec.hasBias)
      arguments.push_back(tensor({spec.n}, b.getF32Type()));
    start(arguments, tensor({rows, spec.n}, data));
    auto compute = ComputeAttr::get(b.getContext(), spec.compute);
    Operation *last = LinearOp::create(b, result, argument(0), argument(1), Value(), compute, ActivationAttr(),
                                       spec.permuted, ScheduleAttr());
    if (spec.hasBias)
      last = AddBiasOp::create(b, result, last->getResult(0), argument(2));
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

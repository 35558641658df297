// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQVerify.h"
#include "dialect/core/KernelAbi.h"

using namespace mlir;
using namespace bq;

//===----------------------------------------------------------------------===//
// UpdateOp
//===----------------------------------------------------------------------===//

WeightType UpdateOp::getPackedType() { return dyn_cast<WeightType>(getWeight().getType()); }

MomentType UpdateOp::getMomentType() {
  if (getRule().getValue() == UpdateRule::Direction || getState().empty())
    return MomentType::None;
  Type element = getElementTypeOrSelf(getState().front().getType());
  return element.isF32()    ? MomentType::F32
         : element.isF16()  ? MomentType::F16
         : element.isBF16() ? MomentType::BF16
                            : MomentType::Block8;
}

static LogicalResult verifyState(UpdateOp op, ArrayRef<int64_t> shape) {
  const bool isPacked = op.getPackedType() != nullptr, isBlock8 = op.getMomentType() == MomentType::Block8;
  SmallVector<int64_t> blocks(shape);
  if (!ShapedType::isDynamic(blocks.back()))
    blocks.back() = llvm::divideCeil(blocks.back(), abi::momentBlock);
  struct Expected {
    const char *name;
    SmallVector<int64_t> shape;
    Type element;
  };
  SmallVector<Expected> expected;
  Type f32 = Float32Type::get(op.getContext()), i8 = IntegerType::get(op.getContext(), 8);
  if (op.getRule().getValue() != UpdateRule::Direction) {
    Type moment = op.getState().empty() ? f32 : getElementTypeOrSelf(op.getState().front().getType());
    for (const char *name : {"m", "v"}) {
      expected.push_back({name, SmallVector<int64_t>(shape), moment});
      if (isBlock8)
        expected.push_back({"scales", blocks, f32});
    }
  }
  if (isPacked && op.getRounding().getValue() == Rounding::Residual)
    expected.push_back({"residual", SmallVector<int64_t>(shape), i8});
  if (op.getState().size() != expected.size())
    return op.emitOpError("expected ") << expected.size() << " tensors of state, got " << op.getState().size();
  for (auto [value, want] : llvm::zip_equal(op.getState(), expected))
    if (failed(verifyShape(op, want.name, value, want.shape)) ||
        failed(verifyElementType(op, want.name, value, want.element)))
      return failure();
  return success();
}

LogicalResult UpdateOp::verify() {
  WeightType packed = getPackedType();
  SmallVector<int64_t> shape;
  if (packed)
    shape = {packed.getN(), packed.getK()};
  else
    shape = {cast<RankedTensorType>(getWeight().getType()).getDimSize(0)};
  // (C1)
  if (failed(verifyShape(*this, "gradient", getGradient(), shape)) ||
      failed(verifyShape(*this, "options", getOptions(), {abi::updateOptions})) ||
      failed(verifyShape(*this, "counter", getCounter(), {4})))
    return failure();
  // (C2)
  if (failed(verifyState(*this, shape)))
    return failure();
  // (C3)
  const UpdateRule rule = getRule().getValue();
  const bool isSign = packed && packed.getFormat().kind == Format::Kind::Sign;
  if (packed && packed.getFormat().isTable())
    return emitOpError("expected a format int<b>, uint<b> or sign, got ") << packed.getFormat().str();
  if (isSign != (rule == UpdateRule::SignMomentum))
    return emitOpError("expected rule sign_momentum for sign and for nothing else, got ") << StringRef(str(rule));
  if (getBiasCorrection() && rule != UpdateRule::Adam)
    return emitOpError("expected 'bias_correction' with rule adam only, got ") << StringRef(str(rule));
  const ScaleUpdate scaling = getScaling().getValue();
  if (scaling == ScaleUpdate::Tensor &&
      (!packed || packed.getFormat().kind != Format::Kind::Int || packed.getFormat().group))
    return emitOpError("expected a format int<b> without groups for scaling tensor");
  // (C3), (C4)
  if ((isSign || !packed) && (scaling != ScaleUpdate::Keep || getRounding().getValue() != Rounding::Nearest))
    return emitOpError("expected rounding nearest and scaling keep for ") << (isSign ? "sign" : "a weight of floats");
  // (C5)
  if (getNewWeight().getType() != getWeight().getType() || getNewState().getTypes() != getState().getTypes())
    return emitOpError("expected results of the types of the weight and of the state");
  return success();
}

//===----------------------------------------------------------------------===//
// PhiloxOp
//===----------------------------------------------------------------------===//

LogicalResult PhiloxOp::verify() {
  // (C1)
  if (getRounds() < 1 || getRounds() > 16)
    return emitOpError("expected 'rounds' between 1 and 16, got ") << getRounds();
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/GroupCode.h"

#include "dialect/core/Half.h"

using namespace mlir;
using namespace bq;

float bq::scaleDivisor(const Format &format) {
  switch (format.kind) {
  case Format::Kind::Int:
  case Format::Kind::UInt:
    return static_cast<float>(format.greatestValue());
  case Format::Kind::NF4:
    return 1.0f;
  default:
    return 6.0f;
  }
}

Value bq::writeLesser(KernelBuilder &b, Value l, Value r) {
  return b.select(arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, l, r), l, r);
}
Value bq::writeGreater(KernelBuilder &b, Value l, Value r) {
  return b.select(arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, l, r), l, r);
}

Value bq::writeGreaterSize(KernelBuilder &b, Value x, Value most) {
  auto type = cast<VectorType>(x.getType());
  VectorType integers = type.clone(b.getI32Type());
  if (!b.target.has(CpuTarget::AVX512)) {
    // Of numbers without signs the bits are in order.
    Value size = b.bitAnd(b.bitcast(integers, x), 0x7fffffff);
    return b.bitcast(type, arith::MaxSIOp::create(b, size, b.bitcast(integers, most)));
  }
  constexpr int64_t greaterSize = 0b1011, currentRounding = 4;
  Value allLanes = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
  return writeIntrinsic(b, "llvm.x86.avx512.mask.range.ps.512", type,
                        {x, most, b.i32(greaterSize), b.zero(type), allLanes, b.i32(currentRounding)});
}

Value bq::writeGreatestLane(KernelBuilder &b, Value sizes) {
  Value bits = b.bitcast(cast<VectorType>(sizes.getType()).clone(b.getI32Type()), sizes);
  return b.bitcast(b.getF32Type(), vector::ReductionOp::create(b, vector::CombiningKind::MAXSI, bits));
}

Value bq::writeRound(KernelBuilder &b, Value x) {
  // Adding 1.5 * 2^23 leaves no bits for a fraction.
  Value magic = b.f32(0x1.8p23f);
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    magic = b.broadcast(vector, magic);
  return b.subF(b.addF(x, magic), magic);
}

Value bq::writeStoredScale(KernelBuilder &b, Value raw, Value isZero, Type scaleType) {
  ElementType type = toElementType(scaleType);
  Value clamped = writeLesser(b, writeGreater(b, raw, b.f32(minNormal(type))), b.f32(maxFinite(type)));
  return b.truncateFloat(b.select(isZero, b.f32(1.0f), clamped), scaleType);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/ToEmitC.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace bq;

bool bq::isScalar(Type type) {
  return type.isSignlessInteger(1) || type.isSignlessInteger(32) || type.isSignlessInteger(64) || type.isF32();
}

Type bq::toUnsignedType(Type type) {
  return IntegerType::get(type.getContext(), type.getIntOrFloatBitWidth(), IntegerType::Unsigned);
}

Type bq::toCppType(Type type) {
  if (isScalar(type))
    return type;
  if (auto pointer = dyn_cast<gpu::PtrType>(type))
    return emitc::PointerType::get(pointer.getElement());
  auto vector = dyn_cast<VectorType>(type);
  if (vector && vector.getRank() == 1 && !vector.isScalable() &&
      (vector.getNumElements() == 2 || vector.getNumElements() == 4) &&
      (vector.getElementType().isInteger(32) || vector.getElementType().isF32()))
    return emitc::OpaqueType::get(type.getContext(), cppName(type));
  return {};
}

StringRef bq::cppName(Type type) {
  if (auto vector = dyn_cast<VectorType>(type)) {
    bool isPair = vector.getNumElements() == 2;
    return vector.getElementType().isF32() ? (isPair ? "bq_f32x2" : "bq_f32x4") : (isPair ? "bq_i32x2" : "bq_i32x4");
  }
  if (type.isF32())
    return "float";
  switch (type.getIntOrFloatBitWidth()) {
  case 8:
    return "int8_t";
  case 16:
    return "int16_t";
  case 32:
    return "int32_t";
  default:
    return "int64_t";
  }
}

/// An integer of the width of C++'s int.
static std::string intLiteral(int64_t value) {
  if (value == INT32_MIN)
    return "(-2147483647 - 1)";
  return value < 0 ? "(" + std::to_string(value) + ")" : std::to_string(value);
}

std::string bq::cppLiteral(Attribute value) {
  if (auto number = dyn_cast<IntegerAttr>(value)) {
    if (number.getType().isInteger(1))
      return number.getValue().isZero() ? "false" : "true";
    int64_t integer = number.getValue().getSExtValue();
    if (number.getType().isInteger(32))
      return intLiteral(integer);
    return integer == INT64_MIN ? "int64_t(-9223372036854775807 - 1)" : "int64_t(" + std::to_string(integer) + ")";
  }
  const APFloat &number = cast<FloatAttr>(value).getValue();
  // There are no literals for infinity and NaN.
  if (!number.isFinite())
    return "bq_float(" + std::to_string(number.bitcastToAPInt().getSExtValue()) + ")";
  SmallString<32> digits;
  number.toString(digits);
  std::string text(digits);
  if (text.find_first_of(".E") == std::string::npos)
    text += ".0";
  text += "f";
  return number.isNegative() ? "(" + text + ")" : text;
}

Value bq::createExpression(OpBuilder &builder, Location loc, Type type, ValueRange operands,
                           function_ref<Value(ValueRange)> build) {
  auto expression = emitc::ExpressionOp::create(builder, loc, type, operands, /*do_not_inline=*/true);
  OpBuilder::InsertionGuard guard(builder);
  Block &body = expression.createBody();
  builder.setInsertionPointToStart(&body);
  emitc::YieldOp::create(builder, loc, build(body.getArguments()));
  return expression;
}

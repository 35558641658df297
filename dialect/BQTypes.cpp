// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace bq;

Type WeightType::parse(AsmParser &parser) {
  SmallVector<int64_t, 2> shape;
  std::string text;
  Type scale;
  ZeroPointType zero = ZeroPointType::None;
  SMLoc shapeLoc, formatLoc;
  if (parser.parseLess() ||
      (shapeLoc = parser.getCurrentLocation(),
       parser.parseDimensionList(shape, /*allowDynamic=*/true, /*withTrailingX=*/false)) ||
      parser.parseComma() || (formatLoc = parser.getCurrentLocation(), parser.parseString(&text)) ||
      parser.parseComma() || parser.parseType(scale))
    return {};
  if (shape.size() != 2)
    return parser.emitError(shapeLoc) << "expected a shape N x K, got " << shape.size() << " dimensions", Type();
  Expected<Format> format = Format::parse(text);
  if (!format)
    return parser.emitError(formatLoc) << format.error().message, Type();
  if (succeeded(parser.parseOptionalComma())) {
    StringRef keyword;
    if (parser.parseKeyword("zero") || parser.parseEqual())
      return {};
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&keyword))
      return {};
    Expected<ZeroPointType> type = parseZeroPointType(std::string_view(keyword));
    if (!type)
      return parser.emitError(loc) << type.error().message, Type();
    zero = *type;
  }
  if (parser.parseGreater())
    return {};
  return WeightType::getChecked([&] { return parser.emitError(shapeLoc); }, parser.getContext(), shape[0], shape[1],
                                *format, scale, zero);
}

void WeightType::print(AsmPrinter &printer) const {
  printer << "<";
  if (ShapedType::isDynamic(getN()))
    printer << "?";
  else
    printer << getN();
  printer << "x" << getK() << ", \"" << getFormat().str() << "\", " << getScale();
  if (getZero() != ZeroPointType::None)
    printer << ", zero = " << StringRef(str(getZero()));
  printer << ">";
}

LogicalResult WeightType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t n, int64_t k, Format format,
                                 Type scale, ZeroPointType zero) {
  if (!scale.isF32() && !scale.isF16() && !scale.isBF16())
    return emitError() << "expected scales of type f32, f16 or bf16, got " << scale;
  // (C1)
  if (ShapedType::isDynamic(k) || k <= 0)
    return emitError() << "expected a positive number of columns";
  if (!ShapedType::isDynamic(n) && n <= 0)
    return emitError() << "expected a positive number of rows, got " << n;
  // (C2)
  if (format.hasZeroPoints() != (zero != ZeroPointType::None))
    return emitError() << "expected 'zero' "
                       << (format.hasZeroPoints() ? "for format " : "for formats with zero points only, got format ")
                       << format.str();
  if (format.isMixed() && !scale.isF32())
    return emitError() << "expected scales of type f32 for format " << format.str() << ", got " << scale;
  return success();
}

Type bq::toType(MLIRContext *context, ElementType type) {
  switch (type) {
  case ElementType::F32:
    return Float32Type::get(context);
  case ElementType::F16:
    return Float16Type::get(context);
  case ElementType::BF16:
    return BFloat16Type::get(context);
  }
  llvm_unreachable("every element type is listed");
}

ElementType bq::toElementType(Type type) {
  return type.isF32() ? ElementType::F32 : type.isF16() ? ElementType::F16 : ElementType::BF16;
}

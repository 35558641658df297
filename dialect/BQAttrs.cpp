// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace bq;

namespace {

/// A value read from text, reported at the parser's position where the text does not read.
template <typename T>
FailureOr<T> take(AsmParser &parser, SMLoc loc, Expected<T> value) {
  if (value.ok())
    return *value;
  parser.emitError(loc) << value.error().message;
  return failure();
}

/// `<` keyword `>`, read by `parse`.
template <typename T>
FailureOr<T> parseKeywordIn(AsmParser &parser, Expected<T> (*parse)(std::string_view)) {
  StringRef keyword;
  SMLoc loc;
  if (parser.parseLess() || (loc = parser.getCurrentLocation(), parser.parseKeyword(&keyword)))
    return failure();
  FailureOr<T> value = take(parser, loc, parse(std::string_view(keyword)));
  if (failed(value) || parser.parseGreater())
    return failure();
  return value;
}

} // namespace

Attribute FormatAttr::parse(AsmParser &parser, Type) {
  std::string text;
  SMLoc loc;
  if (parser.parseLess() || (loc = parser.getCurrentLocation(), parser.parseString(&text)))
    return {};
  FailureOr<Format> format = take(parser, loc, Format::parse(text));
  if (failed(format) || parser.parseGreater())
    return {};
  return FormatAttr::get(parser.getContext(), *format);
}

void FormatAttr::print(AsmPrinter &printer) const { printer << "<\"" << getFormat().str() << "\">"; }

Attribute ComputeAttr::parse(AsmParser &parser, Type) {
  FailureOr<Compute> value = parseKeywordIn(parser, parseCompute);
  return failed(value) ? Attribute() : ComputeAttr::get(parser.getContext(), *value);
}

void ComputeAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute ActivationAttr::parse(AsmParser &parser, Type) {
  FailureOr<Activation> value = parseKeywordIn(parser, parseActivation);
  return failed(value) ? Attribute() : ActivationAttr::get(parser.getContext(), *value);
}

void ActivationAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute UpdateRuleAttr::parse(AsmParser &parser, Type) {
  FailureOr<UpdateRule> value = parseKeywordIn(parser, parseUpdateRule);
  return failed(value) ? Attribute() : UpdateRuleAttr::get(parser.getContext(), *value);
}

void UpdateRuleAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute RoundingAttr::parse(AsmParser &parser, Type) {
  FailureOr<Rounding> value = parseKeywordIn(parser, parseRounding);
  return failed(value) ? Attribute() : RoundingAttr::get(parser.getContext(), *value);
}

void RoundingAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute ScaleUpdateAttr::parse(AsmParser &parser, Type) {
  FailureOr<ScaleUpdate> value = parseKeywordIn(parser, parseScaleUpdate);
  return failed(value) ? Attribute() : ScaleUpdateAttr::get(parser.getContext(), *value);
}

void ScaleUpdateAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute NoiseAttr::parse(AsmParser &parser, Type) {
  FailureOr<NoiseKind> value = parseKeywordIn(parser, parseNoiseKind);
  return failed(value) ? Attribute() : NoiseAttr::get(parser.getContext(), *value);
}

void NoiseAttr::print(AsmPrinter &printer) const { printer << "<" << StringRef(str(getValue())) << ">"; }

Attribute ScheduleAttr::parse(AsmParser &parser, Type) {
  StringRef algorithm;
  int64_t rows = 0, vectors = 0, splits = 1;
  LayoutAttr layout;
  if (parser.parseLess() || parser.parseKeyword(&algorithm))
    return {};
  while (succeeded(parser.parseOptionalComma())) {
    StringRef field;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&field) || parser.parseEqual())
      return {};
    ParseResult parsed = success();
    if (field == "rows")
      parsed = parser.parseInteger(rows);
    else if (field == "vectors")
      parsed = parser.parseInteger(vectors);
    else if (field == "splits")
      parsed = parser.parseInteger(splits);
    else if (field == "layout")
      parsed = parser.parseCustomAttributeWithFallback(layout);
    else
      return parser.emitError(loc) << "expected 'rows', 'vectors', 'splits' or 'layout', got '" << field << "'",
             Attribute();
    if (parsed)
      return {};
  }
  if (parser.parseGreater())
    return {};
  return ScheduleAttr::get(parser.getContext(), algorithm, rows, vectors, splits, layout);
}

void ScheduleAttr::print(AsmPrinter &printer) const {
  printer << "<" << getAlgorithm();
  if (getRows())
    printer << ", rows = " << getRows();
  if (getVectors())
    printer << ", vectors = " << getVectors();
  if (getSplits() != 1)
    printer << ", splits = " << getSplits();
  if (getLayout()) {
    printer << ", layout = ";
    printer.printStrippedAttrOrType(getLayout());
  }
  printer << ">";
}

/// As IR spells them.
static SmallVector<int64_t> widthsOf(const std::vector<int> &planes) { return {planes.begin(), planes.end()}; }

LayoutAttr bq::toAttr(MLIRContext *context, const Layout &layout) {
  return LayoutAttr::get(context, layout.lanes, widthsOf(layout.planes()), layout.segmentCodes, layout.segmentSize);
}

FragmentsAttr bq::toAttr(MLIRContext *context, const FragmentLayout &layout) {
  return FragmentsAttr::get(context, widthsOf(layout.planes()), layout.segmentCodes, layout.segmentSize);
}

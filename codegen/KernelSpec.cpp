// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/KernelSpec.h"

#include <algorithm>
#include <charconv>
#include <limits>

using namespace bq;

namespace {

using Op = KernelSpec::Op;

constexpr std::string_view ops[] = {"linear", "embedding", "quantize", "dequantize"};

std::string_view opName(Op op) { return ops[static_cast<int>(op)]; }

/// Rows and columns are counted in int32 where a kernel holds a permutation.
constexpr int64_t maxSize = std::numeric_limits<int32_t>::max();

Error badField(std::string_view field, std::string_view value, const std::string &rule) {
  return invalidArgument("kernel spec field " + std::string(field) + "='" + std::string(value) + "': " + rule);
}

/// Takes the value that an Expected holds, or passes its error on with the field's name.
template <typename T>
Status assign(T &field, Expected<T> value, std::string_view name) {
  if (!value)
    return Error{value.error().code, "kernel spec field " + std::string(name) + ": " + value.error().message};
  field = *value;
  return {};
}

template <typename T>
Status parseNumber(T &field, std::string_view text, std::string_view name) {
  bool plain = !text.empty() && (text == "0" || (text[0] >= '1' && text[0] <= '9'));
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), field);
  if (!plain || code != std::errc() || end != text.data() + text.size())
    return badField(name, text, "use a decimal number of at most " + std::to_string(std::numeric_limits<T>::max()));
  return {};
}

Status parseFlag(bool &field, std::string_view text, std::string_view name) {
  if (text != "0" && text != "1")
    return badField(name, text, "use 0 or 1");
  field = text == "1";
  return {};
}

Status parseOp(Op &field, std::string_view text, std::string_view name) {
  std::string accepted;
  for (const std::string_view &known : ops) {
    if (known == text) {
      field = static_cast<Op>(&known - ops);
      return {};
    }
    accepted += (accepted.empty() ? "" : ", ") + std::string(known);
  }
  return badField(name, text, "use one of " + accepted);
}

/// One field of the canonical text, in the order of the text.
struct Field {
  std::string_view name;
  std::string (*print)(const KernelSpec &);
  Status (*parse)(KernelSpec &, std::string_view text, std::string_view name);
};

using Text = std::string_view;

const Field fields[] = {
    {"op", [](const KernelSpec &s) { return std::string(opName(s.op)); },
     [](KernelSpec &s, Text text, Text name) { return parseOp(s.op, text, name); }},
    {"format", [](const KernelSpec &s) { return s.format.str(); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.format, Format::parse(text), name); }},
    {"n", [](const KernelSpec &s) { return std::to_string(s.n); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.n, text, name); }},
    {"k", [](const KernelSpec &s) { return std::to_string(s.k); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.k, text, name); }},
    {"data", [](const KernelSpec &s) { return std::string(str(s.dataType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.dataType, parseElementType(text), name); }},
    {"scale", [](const KernelSpec &s) { return std::string(str(s.scaleType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.scaleType, parseElementType(text), name); }},
    {"zero", [](const KernelSpec &s) { return std::string(str(s.zeroType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.zeroType, parseZeroPointType(text), name); }},
    {"compute", [](const KernelSpec &s) { return std::string(str(s.compute)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.compute, parseCompute(text), name); }},
    {"rows", [](const KernelSpec &s) { return std::to_string(s.rows); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.rows, text, name); }},
    {"bias", [](const KernelSpec &s) { return std::to_string(s.hasBias); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.hasBias, text, name); }},
    {"activation", [](const KernelSpec &s) { return std::string(str(s.activation)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.activation, parseActivation(text), name); }},
    {"permuted", [](const KernelSpec &s) { return std::to_string(s.permuted); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.permuted, text, name); }},
};

/// The weight as part of a symbol, such as int4g128sf16 or uint4sf32zu8.
std::string weightName(const KernelSpec &spec) {
  std::string text = spec.format.str();
  if (size_t colon = text.find(':'); colon != std::string::npos)
    text.erase(colon, 1);
  text += "s" + std::string(str(spec.scaleType));
  if (spec.zeroType != ZeroPointType::None)
    text += "z" + std::string(str(spec.zeroType));
  return text;
}

} // namespace

std::string KernelSpec::str() const {
  std::string text;
  for (const Field &field : fields)
    text += (text.empty() ? "" : " ") + std::string(field.name) + "=" + field.print(*this);
  return text;
}

Expected<KernelSpec> KernelSpec::parse(std::string_view text) {
  std::string accepted;
  for (const Field &field : fields)
    accepted += (accepted.empty() ? "" : " ") + std::string(field.name) + "=...";
  auto refuse = [&](const std::string &why) {
    return invalidArgument("kernel spec '" + std::string(text) + "' " + why + ": use " + accepted);
  };

  KernelSpec spec;
  unsigned seen = 0;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(' ', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    size_t equals = part.find('=');
    if (equals == std::string_view::npos)
      return refuse("has '" + std::string(part) + "' where a field is expected");
    std::string_view name = part.substr(0, equals);
    const Field *field =
        std::find_if(std::begin(fields), std::end(fields), [&](const Field &f) { return f.name == name; });
    if (field == std::end(fields))
      return refuse("has the unknown field '" + std::string(name) + "'");
    unsigned bit = 1u << (field - fields);
    if (seen & bit)
      return refuse("has the field '" + std::string(name) + "' twice");
    seen |= bit;
    if (Status status = field->parse(spec, part.substr(equals + 1), name); !status)
      return status.error();
  }
  for (const Field &field : fields)
    if (!(seen & 1u << (&field - fields)))
      return refuse("lacks the field '" + std::string(field.name) + "'");
  return spec;
}

Status KernelSpec::verify() const {
  const std::string opText(opName(op));
  if (Expected<Format> same = Format::parse(format.str()); !same || *same != format)
    return badField("format", format.str(), "bits or group size are out of the range of the kind");
  if (k < 1 || k > maxSize)
    return badField("k", std::to_string(k), "must be 1.." + std::to_string(maxSize));

  const bool wantsZeros = format.hasZeroPoints();
  if (wantsZeros && zeroType == ZeroPointType::None)
    return badField("zero", "none", "format " + format.str() + " has zero points: use u8 or f32");
  if (!wantsZeros && zeroType != ZeroPointType::None)
    return badField("zero", bq::str(zeroType), "format " + format.str() + " has no zero points: use none");

  if (op == Op::Linear) {
    if (n < 1 || n > maxSize)
      return badField("n", std::to_string(n), "must be 1.." + std::to_string(maxSize) + " for linear");
    if (rows < 0 || rows > maxExactRows)
      return badField("rows", std::to_string(rows),
                      "must be 0 (any) or 1.." + std::to_string(maxExactRows) + " for linear");
    return {};
  }

  if (n != 0)
    return badField("n", std::to_string(n), "must be 0, since " + opText + " serves any number of rows");
  if (op == Op::Quantize) {
    if (format.kind == Format::Kind::Lut)
      return badField("format", format.str(), "quantize cannot choose a table: use int, uint, nf4, fp4 or sign");
    if (zeroType == ZeroPointType::F32)
      return badField("zero", "f32", "quantize makes integer zero points: use u8");
  } else if (dataType != ElementType::F32) {
    return badField("data", bq::str(dataType), "must be f32, since " + opText + " has the element type of the scales");
  }

  const KernelSpec plain;
  auto onlyLinear = [&](std::string_view field, std::string value, std::string wanted) {
    return badField(field, value, "belongs to linear, must be " + wanted + " for " + opText);
  };
  if (compute != plain.compute)
    return onlyLinear("compute", std::string(bq::str(compute)), "f32");
  if (rows != plain.rows)
    return onlyLinear("rows", std::to_string(rows), "0");
  if (hasBias)
    return onlyLinear("bias", "1", "0");
  if (activation != plain.activation)
    return onlyLinear("activation", std::string(bq::str(activation)), "none");
  if (permuted)
    return onlyLinear("permuted", "1", "0");
  return {};
}

std::string KernelSpec::name() const {
  const std::string columns = "k" + std::to_string(k), weight = weightName(*this), operation(opName(op));
  if (op != Op::Linear)
    return "bq_" + (op == Op::Quantize ? std::string(bq::str(dataType)) + "_" : "") + weight + "_" + operation + "__" +
           columns;
  std::string text = "bq_" + std::string(bq::str(dataType)) + "_" + weight + "_linear_" + std::string(bq::str(compute));
  if (permuted)
    text += "_permuted";
  if (hasBias)
    text += "_bias";
  if (activation != Activation::None)
    text += "_" + std::string(bq::str(activation));
  return text + "__n" + std::to_string(n) + columns + "m" + std::to_string(rows);
}

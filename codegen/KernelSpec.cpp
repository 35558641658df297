// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/KernelSpecFields.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

using namespace bq;
using namespace bq::spec;

namespace {

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

using Text = std::string_view;

const std::vector<Field> table = {
    {"op", allOps, [](const KernelSpec &s) { return opName(s.op); },
     [](KernelSpec &s, Text text, Text name) { return parseOp(s.op, text, name); }},
    {"format", weightOps | fakeQuantize, [](const KernelSpec &s) { return s.format.str(); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.format, Format::parse(text), name); }},
    {"n", allProducts, [](const KernelSpec &s) { return std::to_string(s.n); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.n, text, name); }},
    {"k", weightOps | magnitudeSums, [](const KernelSpec &s) { return std::to_string(s.k); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.k, text, name); }},
    {"data", allProducts | only(Op::Quantize) | updates | fakeQuantize | magnitudeSums | noises | weightRange,
     [](const KernelSpec &s) { return std::string(str(s.dataType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.dataType, parseElementType(text), name); }},
    {"scale", weightOps, [](const KernelSpec &s) { return std::string(str(s.scaleType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.scaleType, parseElementType(text), name); }},
    {"zero", weightOps | fakeQuantize, [](const KernelSpec &s) { return std::string(str(s.zeroType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.zeroType, parseZeroPointType(text), name); }},
    {"compute", allProducts, [](const KernelSpec &s) { return std::string(str(s.compute)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.compute, parseCompute(text), name); }},
    {"rows", linear | inputGradient, [](const KernelSpec &s) { return std::to_string(s.rows); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.rows, text, name); }},
    {"bias", products, [](const KernelSpec &s) { return std::to_string(s.hasBias); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.hasBias, text, name); }},
    {"activation", products, [](const KernelSpec &s) { return std::string(str(s.activation)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.activation, parseActivation(text), name); }},
    {"permuted", allProducts | only(Op::Prepack), [](const KernelSpec &s) { return std::to_string(s.permuted); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.permuted, text, name); }},
    {"factors", products, [](const KernelSpec &s) { return std::to_string(s.columnFactors); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.columnFactors, text, name); }},
    {"activation_bits", products, [](const KernelSpec &s) { return std::to_string(s.activationBits); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.activationBits, text, name); }},
    {"kernel_height", conv2d, [](const KernelSpec &s) { return std::to_string(s.kernelHeight); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.kernelHeight, text, name); }},
    {"kernel_width", conv2d, [](const KernelSpec &s) { return std::to_string(s.kernelWidth); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.kernelWidth, text, name); }},
    {"groups", conv2d, [](const KernelSpec &s) { return std::to_string(s.groups); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.groups, text, name); }},
    {"weight", denseUpdate, [](const KernelSpec &s) { return std::string(str(s.weightType)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.weightType, parseElementType(text), name); }},
    {"rule", updates, [](const KernelSpec &s) { return std::string(str(s.rule)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.rule, parseUpdateRule(text), name); }},
    {"moments", updates, [](const KernelSpec &s) { return std::string(str(s.moments)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.moments, parseMomentType(text), name); }},
    {"correction", updates, [](const KernelSpec &s) { return std::to_string(s.biasCorrection); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.biasCorrection, text, name); }},
    {"rounding", packedUpdate, [](const KernelSpec &s) { return std::string(str(s.rounding)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.rounding, parseRounding(text), name); }},
    {"scaling", packedUpdate, [](const KernelSpec &s) { return std::string(str(s.scaling)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.scaling, parseScaleUpdate(text), name); }},
    {"square", magnitudeSums, [](const KernelSpec &s) { return std::to_string(s.square); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.square, text, name); }},
    {"divide", magnitudeSums, [](const KernelSpec &s) { return std::to_string(s.divide); },
     [](KernelSpec &s, Text text, Text name) { return parseFlag(s.divide, text, name); }},
    {"noise", noises, [](const KernelSpec &s) { return std::string(str(s.noise)); },
     [](KernelSpec &s, Text text, Text name) { return assign(s.noise, parseNoiseKind(text), name); }},
    {"group", noises, [](const KernelSpec &s) { return std::to_string(s.groupSize); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.groupSize, text, name); }},
    {"rounds", noises, [](const KernelSpec &s) { return std::to_string(s.rounds); },
     [](KernelSpec &s, Text text, Text name) { return parseNumber(s.rounds, text, name); }},
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

std::string spec::opNames(Ops set) {
  std::string text;
  for (size_t op = 0; op < std::size(ops); ++op) {
    if (!(set >> op & 1))
      continue;
    const bool isLast = !(set >> (op + 1));
    text += (text.empty() ? "" : isLast ? " and " : ", ") + std::string(ops[op]);
  }
  return text;
}

Error spec::badField(std::string_view field, std::string_view value, const std::string &rule) {
  return invalidArgument("kernel spec field " + std::string(field) + "='" + std::string(value) + "': " + rule);
}

const std::vector<Field> &spec::fields() { return table; }

std::string KernelSpec::str() const {
  std::string text;
  for (const Field &field : table)
    if (field.belongsTo(op))
      text += (text.empty() ? "" : " ") + std::string(field.name) + "=" + field.print(*this);
  return text;
}

Expected<KernelSpec> KernelSpec::parse(std::string_view text) {
  // First the op, since it says which fields there are.
  KernelSpec spec;
  std::vector<std::pair<std::string_view, std::string_view>> parts;
  std::string accepted = "op=...";
  auto refuse = [&](const std::string &why) {
    return invalidArgument("kernel spec '" + std::string(text) + "' " + why + ": use " + accepted);
  };
  bool hasOp = false;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(' ', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    size_t equals = part.find('=');
    if (equals == std::string_view::npos)
      return refuse("has '" + std::string(part) + "' where a field is expected");
    parts.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    if (parts.back().first != "op" || hasOp)
      continue;
    hasOp = true;
    if (Status status = parseOp(spec.op, parts.back().second, "op"); !status)
      return status.error();
  }
  if (!hasOp)
    return refuse("lacks the field 'op'");
  for (const Field &field : table)
    if (field.belongsTo(spec.op) && field.name != "op")
      accepted += " " + std::string(field.name) + "=...";

  uint64_t seen = 0;
  for (auto [name, value] : parts) {
    auto field = std::find_if(table.begin(), table.end(), [&](const Field &f) { return f.name == name; });
    if (field == table.end())
      return refuse("has the unknown field '" + std::string(name) + "'");
    if (!field->belongsTo(spec.op))
      return refuse("has the field '" + std::string(name) + "', which belongs to " + opNames(field->ops));
    uint64_t bit = uint64_t{1} << (field - table.begin());
    if (seen & bit)
      return refuse("has the field '" + std::string(name) + "' twice");
    seen |= bit;
    if (Status status = field->parse(spec, value, name); !status)
      return status.error();
  }
  for (const Field &field : table)
    if (field.belongsTo(spec.op) && !(seen & uint64_t{1} << (&field - table.data())))
      return refuse("lacks the field '" + std::string(field.name) + "'");
  return spec;
}

std::string KernelSpec::name() const {
  const std::string data(bq::str(dataType)), operation = opName(op), columns = "k" + std::to_string(k);
  if (only(op) & updates) {
    std::string text = "bq_" + data + "_" + (op == Op::Update ? weightName(*this) : std::string(bq::str(weightType))) +
                       "_" + operation + "_" + std::string(bq::str(rule));
    if (moments != MomentType::None)
      text += "_" + std::string(bq::str(moments));
    if (biasCorrection)
      text += "_corrected";
    if (op == Op::UpdateDense)
      return text;
    return text + "_" + std::string(bq::str(rounding)) + "_" + std::string(bq::str(scaling)) + "__" + columns;
  }
  if (only(op) & fakeQuantize)
    return "bq_" + data + "_" + format.str() + (zeroType != ZeroPointType::None ? "_zero_" : "_") + operation;
  if (op == Op::MagnitudeSums)
    return "bq_" + data + "_" + operation + (square ? "_square" : "") + (divide ? "_divide" : "") + "__" + columns;
  if (only(op) & noises)
    return "bq_" + data + "_" + operation + "_" + std::string(bq::str(noise)) +
           (groupSize ? "_g" + std::to_string(groupSize) : "") + "_philox" + std::to_string(rounds);
  if (op == Op::WeightRange)
    return "bq_" + data + "_" + operation;
  const std::string weight = weightName(*this);
  if (!(only(op) & allProducts))
    return "bq_" + (op == Op::Quantize ? data + "_" : "") + weight + "_" + operation + (permuted ? "_permuted" : "") +
           "__" + columns;
  std::string text = "bq_" + data + "_" + weight + "_" + operation + "_";
  if (op == Op::Conv2d)
    text += std::to_string(kernelHeight) + "x" + std::to_string(kernelWidth) +
            (groups > 1 ? "_groups" + std::to_string(groups) : "") + "_";
  text += bq::str(compute);
  if (activationBits)
    text += "_a" + std::to_string(activationBits);
  if (permuted)
    text += "_permuted";
  if (columnFactors)
    text += "_factors";
  if (hasBias)
    text += "_bias";
  if (activation != Activation::None)
    text += "_" + std::string(bq::str(activation));
  text += "__n" + std::to_string(n) + columns;
  return op == Op::Conv2d ? text : text + "m" + std::to_string(rows);
}

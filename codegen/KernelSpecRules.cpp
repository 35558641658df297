// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/KernelSpecFields.h"

#include "dialect/core/DirectConv2d.h"

#include <limits>

using namespace bq;
using namespace bq::spec;

namespace {

/// Rows and columns are counted in int32 where a kernel holds a permutation.
constexpr int64_t maxSize = std::numeric_limits<int32_t>::max();

/// Whether the fields that the op does not have are as in an empty spec.
Status verifyBelonging(const KernelSpec &spec) {
  const KernelSpec empty;
  for (const Field &field : fields())
    if (!field.belongsTo(spec.op) && field.print(spec) != field.print(empty))
      return badField(field.name, field.print(spec),
                      "belongs to " + opNames(field.ops) + ", must be " + field.print(empty) + " for " +
                          opName(spec.op));
  return {};
}

/// Ops that do not know rows from columns where the format is mixed.
constexpr Ops flattened = only(Op::Quantize) | only(Op::Dequantize);

Status verifyColumns(const KernelSpec &spec) {
  if (spec.k < 1 || spec.k > maxSize)
    return badField("k", std::to_string(spec.k), "must be 1.." + std::to_string(maxSize));
  return {};
}

Status verifyWeight(const KernelSpec &spec) {
  const Format &format = spec.format;
  if (Expected<Format> same = Format::parse(format.str()); !same || *same != format)
    return badField("format", format.str(), "bits or group size are out of the range of the kind");
  if (Status status = verifyColumns(spec); !status)
    return status;
  if (format.isMixed()) {
    if (!(only(spec.op) & (products | flattened)))
      return badField("format", format.str(),
                      "rows are not packed apart: its kernels are those of " + opNames(products | flattened));
    if (only(spec.op) & flattened && spec.k != 1)
      return badField("k", std::to_string(spec.k),
                      "groups of format " + format.str() + " are of the flattened weight, which " + opName(spec.op) +
                          " takes as one column: use 1");
    if (spec.scaleType != ElementType::F32)
      return badField("scale", str(spec.scaleType),
                      "format " + format.str() + " has its least and greatest weight as f32");
    if (spec.columnFactors)
      return badField("factors", "1", "format " + format.str() + " has none: use 0");
  }
  const bool wantsZeros = format.hasZeroPoints();
  if (wantsZeros && spec.zeroType == ZeroPointType::None)
    return badField("zero", "none", "format " + format.str() + " has zero points: use u8 or f32");
  if (!wantsZeros && spec.zeroType != ZeroPointType::None)
    return badField("zero", str(spec.zeroType), "format " + format.str() + " has no zero points: use none");
  return {};
}

Status verifyUpdate(const KernelSpec &spec) {
  if ((spec.rule == UpdateRule::Direction) != (spec.moments == MomentType::None))
    return badField("moments", str(spec.moments),
                    spec.rule == UpdateRule::Direction
                        ? "rule direction has no moments: use none"
                        : "rule " + std::string(str(spec.rule)) + " has moments: use " + "f32, f16, bf16 or block8");
  if (spec.biasCorrection && spec.rule != UpdateRule::Adam)
    return badField("correction", "1", "belongs to rule adam, must be 0 for rule " + std::string(str(spec.rule)));
  if (spec.op == Op::UpdateDense) {
    if (spec.rule == UpdateRule::SignMomentum)
      return badField("rule", "sign_momentum", "is the rule of format sign: use adam or direction");
    return {};
  }
  const Format::Kind kind = spec.format.kind;
  if (kind != Format::Kind::Int && kind != Format::Kind::UInt && kind != Format::Kind::Sign)
    return badField("format", spec.format.str(), "update steps on int, uint and sign");
  if ((spec.rule == UpdateRule::SignMomentum) != (kind == Format::Kind::Sign))
    return badField("rule", str(spec.rule), "format sign has the rule sign_momentum, and no other format has it");
  if (kind == Format::Kind::Sign && spec.rounding != Rounding::Nearest)
    return badField("rounding", str(spec.rounding), "format sign keeps signs only: use nearest");
  if (kind == Format::Kind::Sign && (spec.scaling != ScaleUpdate::Keep || spec.scaleType != ElementType::F32))
    return badField("scaling", str(spec.scaling), "format sign keeps its scales unread: use keep, and scale=f32");
  if (spec.scaling == ScaleUpdate::Tensor && (kind != Format::Kind::Int || spec.format.group))
    return badField("scaling", "tensor", "a scale for all rows is one of int formats without groups");
  return {};
}

/// A convolution whose kernel takes all groups.
Status verifyGroups(const KernelSpec &spec) {
  const auto refuse = [&](const std::string &rule) { return badField("groups", std::to_string(spec.groups), rule); };
  if (spec.groups < 1 || spec.n % spec.groups)
    return refuse("must divide n=" + std::to_string(spec.n));
  if (!abi::isDirectConv2d(spec.groups, spec.n / spec.groups, spec.k / (spec.kernelHeight * spec.kernelWidth),
                           spec.kernelWidth))
    return refuse("groups have kernels of their own but where they have 1, 2 or 4 outputs and a divisor of them "
                  "channels, and channels times kernel_width is at most 12: use 1");
  if (spec.format.isMixed() || spec.permuted)
    return refuse("groups of mixed and of permuted weights have kernels of their own: use 1");
  return {};
}

Status verifyRows(const KernelSpec &spec) {
  if (spec.n < 1 || spec.n > maxSize)
    return badField("n", std::to_string(spec.n), "must be 1.." + std::to_string(maxSize) + " for " + opName(spec.op));
  return {};
}

/// What products have beside the weight.
Status verifyProduct(const KernelSpec &spec) {
  if (Status status = verifyRows(spec); !status)
    return status;
  const bool hasColumnScale = spec.format.hasColumnScale();
  if (hasColumnScale && spec.columnFactors)
    return badField("factors", "1", "the columns of format " + spec.format.str() + " have scales of their own: use 0");
  const std::string bits = std::to_string(spec.activationBits);
  if (spec.activationBits < 0 || spec.activationBits > 8)
    return badField("activation_bits", bits, "must be 0 (activations as they come) or 1..8");
  if (spec.activationBits && spec.compute != Compute::I8)
    return badField("activation_bits", bits, "activations with one scale need compute=i8");
  if (spec.activationBits && (hasColumnScale || spec.columnFactors))
    return badField("activation_bits", bits, "activations with one scale need columns without scales and factors");
  if (spec.op == Op::Conv2d && (spec.kernelHeight < 1 || spec.k % spec.kernelHeight))
    return badField("kernel_height", std::to_string(spec.kernelHeight), "must divide k=" + std::to_string(spec.k));
  if (spec.op == Op::Conv2d && (spec.kernelWidth < 1 || spec.k / spec.kernelHeight % spec.kernelWidth))
    return badField("kernel_width", std::to_string(spec.kernelWidth),
                    "must divide k / kernel_height=" + std::to_string(spec.k / spec.kernelHeight));
  if (spec.groups != 1)
    return verifyGroups(spec);
  return {};
}

Status verifyInputGradient(const KernelSpec &spec) {
  if (Status status = verifyRows(spec); !status)
    return status;
  if (spec.compute != Compute::F32 && spec.compute != Compute::BF16)
    return badField("compute", str(spec.compute), "gradients are summed in f32 or bf16");
  return {};
}

Status verifyFakeQuantize(const KernelSpec &spec) {
  const Format &format = spec.format;
  if (Expected<Format> same = Format::parse(format.str());
      !same || *same != format || format.isTable() || format.isMixed() || format.group)
    return badField("format", format.str(), opName(spec.op) + " rounds to int, uint or sign, without a group size");
  if (spec.zeroType == ZeroPointType::U8)
    return badField("zero", "u8", "use f32 or none");
  if (format.hasColumnScale() && spec.zeroType != ZeroPointType::None)
    return badField("zero", str(spec.zeroType), "format sign has no zero points: use none");
  return {};
}

Status verifyNoise(const KernelSpec &spec) {
  if (spec.groupSize < 0)
    return badField("group", std::to_string(spec.groupSize), "must be 1 or more, or 0 for one group");
  if (spec.rounds != 7 && spec.rounds != 10)
    return badField("rounds", std::to_string(spec.rounds), "must be 7 or 10");
  return {};
}

} // namespace

Status KernelSpec::verify() const {
  if (Status status = verifyBelonging(*this); !status)
    return status;
  if (only(op) & weightOps)
    if (Status status = verifyWeight(*this); !status)
      return status;
  if (only(op) & updates)
    return verifyUpdate(*this);
  if (only(op) & fakeQuantize)
    return verifyFakeQuantize(*this);
  if (only(op) & magnitudeSums)
    return verifyColumns(*this);
  if (only(op) & noises)
    return verifyNoise(*this);
  if (only(op) & products)
    if (Status status = verifyProduct(*this); !status)
      return status;
  if (only(op) & inputGradient)
    if (Status status = verifyInputGradient(*this); !status)
      return status;
  if (only(op) & (linear | inputGradient)) {
    if (rows < 0 || rows > maxExactRows)
      return badField("rows", std::to_string(rows),
                      "must be 0 (any) or 1.." + std::to_string(maxExactRows) + " for " + opName(op));
  }
  if (op == Op::Quantize) {
    if (format.kind == Format::Kind::Lut)
      return badField("format", format.str(), "quantize cannot choose a table: use int, uint, nf4, fp4 or sign");
    if (zeroType == ZeroPointType::F32)
      return badField("zero", "f32", "quantize makes integer zero points: use u8");
  }
  return {};
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Backend.h"

#include "runtime/Conv2dShape.h"
#include "runtime/MixedStream.h"

#include <limits>
#include <string>
#include <vector>

using namespace bq;

void bq::serialFor(int64_t begin, int64_t end, int64_t, const std::function<void(int64_t, int64_t)> &body) {
  if (begin < end)
    body(begin, end);
}

PrepackedWeight::~PrepackedWeight() = default;
Backend::~Backend() = default;

Status Backend::magnitudeSums(const MagnitudeSumsArgs &, ParallelFor) {
  return unsupported("backend " + std::string(name()) + " has no sums of magnitudes");
}

Status Backend::diffqNoise(const DiffqNoiseArgs &, ParallelFor) {
  return unsupported("backend " + std::string(name()) + " has no noise");
}
Status Backend::diffqNoiseGrad(const DiffqNoiseGradArgs &, ParallelFor) {
  return unsupported("backend " + std::string(name()) + " has no gradient of noise");
}
Status Backend::weightRange(const WeightRangeArgs &, ParallelFor) {
  return unsupported("backend " + std::string(name()) + " has no range of a weight");
}

Status Backend::update(const UpdateArgs &, ParallelFor) {
  return Error{ErrorCode::Unsupported, "backend " + std::string(name()) + " has no optimizer steps"};
}

namespace {

/// Sizes of a weight: with this every product of n, k and an element's size or bits fits 64 bits.
Status verifySizes(int64_t n, int64_t k) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 64;
  if (n < 0)
    return invalidArgument("n is " + std::to_string(n) + ": a weight has 0 rows or more");
  if (k < 1)
    return invalidArgument("k is " + std::to_string(k) + ": a weight has 1 column or more");
  if (k > most || n > most / k)
    return invalidArgument("n is " + std::to_string(n) + " and k is " + std::to_string(k) + ": a weight has at most " +
                           std::to_string(most) + " elements");
  return {};
}

Status verifyFormat(const Format &format) {
  Expected<Format> parsed = Format::parse(format.str());
  if (!parsed)
    return parsed.error();
  if (*parsed != format)
    return invalidArgument("format '" + format.str() + "' has fields that its text does not: use Format::parse");
  return {};
}

Status present(const char *name, const void *pointer, const Format &format) {
  if (pointer)
    return {};
  return invalidArgument(std::string(name) + " is null: format '" + format.str() + "' needs it");
}

Status absent(const char *name, const void *pointer, const Format &format) {
  if (!pointer)
    return {};
  return invalidArgument(std::string(name) + " is given, but format '" + format.str() + "' has none: pass null");
}

Status verifyMixed(const CanonicalWeight &weight) {
  const MixedPart &mixed = weight.mixed;
  if (weight.scaleType != ElementType::F32)
    return invalidArgument("scales are of type " + std::string(str(weight.scaleType)) + ": format '" +
                           weight.format.str() + "' has its least and greatest weight as f32");
  if (weight.groupIndex || weight.columnFactors)
    return invalidArgument(std::string(weight.groupIndex ? "groupIndex" : "columnFactors") + " is given, but format '" +
                           weight.format.str() + "' has none: pass null");
  if (mixed.taps < 1 || weight.k % mixed.taps)
    return invalidArgument("mixed.taps is " + std::to_string(mixed.taps) +
                           ": use a divisor of k = " + std::to_string(weight.k));
  if (mixed.firstRow < 0 || mixed.firstRow + weight.n > mixed.streamRows)
    return invalidArgument("rows " + std::to_string(mixed.firstRow) + " to " +
                           std::to_string(mixed.firstRow + weight.n) + " are asked of a stream of " +
                           std::to_string(mixed.streamRows) + " rows");
  if (Status status = verifySizes(mixed.streamRows, weight.k); !status)
    return status;
  if (!weight.n)
    return {};
  const Expected<MixedStream> stream = MixedStream::parse(weight);
  return stream ? Status() : Status(stream.error());
}

Status verifyGroupIndex(const CanonicalWeight &weight) {
  int64_t groups = weight.format.groupCount(weight.k), size = weight.format.groupSize(weight.k);
  std::vector<int64_t> columns(groups);
  for (int64_t column = 0; column < weight.k; ++column) {
    int32_t group = weight.groupIndex[column];
    if (group < 0 || group >= groups)
      return invalidArgument("groupIndex[" + std::to_string(column) + "] is " + std::to_string(group) + ": format '" +
                             weight.format.str() + "' has groups 0 to " + std::to_string(groups - 1) +
                             " for k = " + std::to_string(weight.k));
    ++columns[group];
  }
  for (int64_t group = 0; group < groups; ++group) {
    int64_t expected = std::min(size, weight.k - group * size);
    if (columns[group] != expected)
      return invalidArgument("groupIndex puts " + std::to_string(columns[group]) + " columns in group " +
                             std::to_string(group) + ": format '" + weight.format.str() + "' has " +
                             std::to_string(expected) + " there for k = " + std::to_string(weight.k));
  }
  return {};
}

} // namespace

Status CanonicalWeight::verify() const {
  if (Status status = verifyFormat(format); !status)
    return status;
  if (Status status = verifySizes(n, k); !status)
    return status;
  if (n) {
    if (Status status = present("codes", codes, format); !status)
      return status;
    if (Status status = present("scales", scales, format); !status)
      return status;
  }
  if (format.hasZeroPoints() != (zeroType != ZeroPointType::None))
    return invalidArgument("zero points are of type " + std::string(str(zeroType)) + ": format '" + format.str() +
                           (format.hasZeroPoints() ? "' needs u8 or f32" : "' has none"));
  if (Status status = !format.hasZeroPoints() ? absent("zeros", zeros, format)
                      : n                     ? present("zeros", zeros, format)
                                              : Status();
      !status)
    return status;
  if (format.isMixed())
    return verifyMixed(*this);
  bool hasTable = format.kind == Format::Kind::Lut;
  if (Status status = hasTable ? present("table", table, format) : absent("table", table, format); !status)
    return status;
  if (columnFactors && format.hasColumnScale())
    return invalidArgument("columnFactors is given, but the columns of format '" + format.str() +
                           "' have scales of their own: pass null");
  return groupIndex ? verifyGroupIndex(*this) : Status();
}

Status CanonicalWeight::verifyRows() const {
  if (columnFactors)
    return invalidArgument("columnFactors is given: embedding and dequantize have none, pass null");
  return verify();
}

Status LinearArgs::verify(int64_t n, int64_t k) const {
  auto refuse = [](const char *name, int64_t value, const std::string &rule) {
    return invalidArgument(std::string(name) + " is " + std::to_string(value) + ": " + rule);
  };
  if (m < 0)
    return refuse("m", m, "x has 0 rows or more");
  if (activationBits < 0 || activationBits > 8)
    return refuse("activationBits", activationBits, "use 0 for activations as they come, or 1 to 8");
  if (activationBits && compute != Compute::I8)
    return refuse("activationBits", activationBits,
                  "activations with one scale need compute i8, not " + std::string(str(compute)));
  if (static_cast<bool>(activationBits) != static_cast<bool>(activationScale))
    return invalidArgument(std::string("activationScale is ") + (activationScale ? "given" : "null") +
                           ": activationBits is " + std::to_string(activationBits));
  if (isGradient) {
    if (geometry || bias || activation != Activation::None)
      return invalidArgument("isGradient is true: a gradient has no geometry, bias and activation");
    if (compute != Compute::F32 && compute != Compute::BF16)
      return invalidArgument("compute is " + std::string(str(compute)) + ": gradients are summed in f32 or bf16");
  }
  if (geometry) {
    if (Status status = verifyGeometry(*geometry, k, activationBits); !status)
      return status;
    if (n % geometry->groups)
      return refuse("geometry.groups", geometry->groups,
                    "it must divide the " + std::to_string(n) + " rows of the weight");
    if (m != geometry->pixels())
      return refuse("m", m, "the geometry has " + std::to_string(geometry->pixels()) + " output pixels");
  }
  if (!m || !n)
    return {};
  if (!x || !y)
    return invalidArgument(std::string(x ? "y" : "x") + " is null: m is " + std::to_string(m));
  const int64_t inputs = isGradient ? n : k, outputs = isGradient ? k : n;
  if (m > 1 && !geometry && xStride < inputs)
    return refuse("xStride", xStride, "rows of " + std::to_string(inputs) + " elements are at least that far apart");
  if (m > 1 && yStride < outputs)
    return refuse("yStride", yStride, "rows of " + std::to_string(outputs) + " elements are at least that far apart");
  return {};
}

Status QuantizeArgs::verify() const {
  if (Status status = verifyFormat(format); !status)
    return status;
  if (format.kind == Format::Kind::Lut || format.isMixed())
    return invalidArgument("format '" + format.str() + "' cannot be quantized to: its " +
                           (format.isMixed() ? "bits come" : "table comes") +
                           " from the caller; use int, uint, nf4, fp4 or sign");
  if (Status status = verifySizes(n, k); !status)
    return status;
  if (n > 1 && stride < k)
    return invalidArgument("stride is " + std::to_string(stride) + ": rows of " + std::to_string(k) +
                           " elements are at least that far apart");
  if (!n)
    return {};
  if (Status status = present("weight", weight, format); !status)
    return status;
  if (Status status = present("codes", codes, format); !status)
    return status;
  if (!format.hasColumnScale())
    if (Status status = present("scales", scales, format); !status)
      return status;
  return format.hasZeroPoints() ? present("zeros", zeros, format) : absent("zeros", zeros, format);
}

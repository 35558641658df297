// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/UpdateArgs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

using namespace bq;

static Error refuse(const char *name, const std::string &value, const std::string &rule) {
  return invalidArgument(std::string(name) + " is " + value + ": " + rule);
}

static Status verifyNumbers(const UpdateArgs &args) {
  auto number = [](const char *name, double value, bool isRight, const char *rule) -> Status {
    if (isRight)
      return {};
    return refuse(name, std::to_string(value), rule);
  };
  if (Status status = number("lr", args.lr, args.lr >= 0 && std::isfinite(args.lr), "use 0 or more"); !status)
    return status;
  if (Status status = number("weightDecay", args.weightDecay, args.weightDecay >= 0 && std::isfinite(args.weightDecay),
                             "use 0 or more");
      !status)
    return status;
  if (Status status = number("beta1", args.beta1, args.beta1 >= 0 && args.beta1 < 1, "use 0 or more, below 1"); !status)
    return status;
  if (Status status = number("beta2", args.beta2, args.beta2 >= 0 && args.beta2 < 1, "use 0 or more, below 1"); !status)
    return status;
  if (Status status =
          number("epsilon", args.epsilon, args.epsilon >= 0 && std::isfinite(args.epsilon), "use 0 or more");
      !status)
    return status;
  if (args.step < 1)
    return refuse("step", std::to_string(args.step), "steps are counted from 1");
  return {};
}

static Status verifyPointers(const UpdateArgs &args) {
  auto given = [](const char *name, const void *pointer, bool isNeeded) -> Status {
    if (!pointer == !isNeeded)
      return {};
    return invalidArgument(std::string(name) + (isNeeded ? " is null: this step needs it"
                                                         : " is given, but this step has none: pass null"));
  };
  const bool hasMoments = args.moments != MomentType::None, isBlock8 = args.moments == MomentType::Block8;
  struct {
    const char *name;
    const void *pointer;
    bool isNeeded;
  } pointers[] = {{"gradient", args.gradient, true},   {"weight", args.weight, !args.packed},
                  {"m", args.m, hasMoments},           {"v", args.v, hasMoments},
                  {"mScales", args.mScales, isBlock8}, {"vScales", args.vScales, isBlock8}};
  for (auto [name, pointer, isNeeded] : pointers)
    if (Status status = given(name, pointer, isNeeded); !status)
      return status;
  if (!args.packed)
    return {};
  const PackedTarget &packed = *args.packed;
  if (Status status = given("codes", packed.codes, true); !status)
    return status;
  // The scales of sign may be given: they are not touched.
  if (packed.format.kind != Format::Kind::Sign)
    if (Status status = given("scales", packed.scales, true); !status)
      return status;
  if (Status status = given("zeros", packed.zeros, packed.format.hasZeroPoints()); !status)
    return status;
  return given("residual", packed.residual, packed.rounding == Rounding::Residual);
}

Status UpdateArgs::verify() const {
  if (n < 0 || (n > 0 && k < 1))
    return refuse("the weight's shape", "[" + std::to_string(n) + ", " + std::to_string(k) + "]",
                  "a step needs rows of at least one element");
  // Every number of bytes then fits 64 bits.
  if (n > 0 && k > std::numeric_limits<int64_t>::max() / 64 / n)
    return refuse("the weight's shape", "[" + std::to_string(n) + ", " + std::to_string(k) + "]",
                  "a weight has fewer elements");
  if (Status status = spec().verify(); !status)
    return status;
  if (Status status = verifyNumbers(*this); !status || !n)
    return status;
  return verifyPointers(*this);
}

abi::UpdateOptions UpdateArgs::options() const {
  abi::UpdateOptions options;
  const double steps = static_cast<double>(step);
  options.rate = static_cast<float>(lr);
  options.correction = static_cast<float>(std::sqrt(1 - std::pow(beta2, steps)) / (1 - std::pow(beta1, steps)));
  options.keep = static_cast<float>(1 - lr * weightDecay);
  options.beta1 = static_cast<float>(beta1);
  options.fresh1 = static_cast<float>(1 - beta1);
  options.beta2 = static_cast<float>(beta2);
  options.fresh2 = static_cast<float>(1 - beta2);
  options.epsilon = static_cast<float>(epsilon);
  return options;
}

KernelSpec UpdateArgs::spec() const {
  KernelSpec spec;
  spec.op = packed ? KernelSpec::Op::Update : KernelSpec::Op::UpdateDense;
  spec.dataType = dataType;
  spec.rule = rule;
  spec.moments = moments;
  spec.biasCorrection = biasCorrection;
  if (!packed) {
    spec.weightType = weightType;
    return spec;
  }
  spec.format = packed->format;
  spec.k = k;
  spec.scaleType = packed->scaleType;
  spec.zeroType = packed->zeroType;
  spec.rounding = packed->rounding;
  spec.scaling = packed->scaling;
  return spec;
}

template <typename Bits, Bits exponent>
static int64_t firstWithExponent(const void *values, int64_t begin, int64_t end) {
  const auto *bits = static_cast<const Bits *>(values);
  constexpr int64_t blockSize = 1024;
  // The lowest bit of the exponent, added to one that is all ones, reaches the sign.
  constexpr Bits lowest = exponent & -exponent, magnitude = static_cast<Bits>(~Bits{0}) >> 1;
  while (begin < end) {
    if (end - begin >= blockSize) {
      // A number of elements that the compiler knows, so that it takes vectors.
      Bits any = 0;
      for (int64_t i = 0; i < blockSize; ++i)
        any |= static_cast<Bits>((bits[begin + i] & magnitude) + lowest);
      if (!(any & static_cast<Bits>(~magnitude))) {
        begin += blockSize;
        continue;
      }
    }
    for (const int64_t last = std::min(begin + blockSize, end); begin < last; ++begin)
      if ((bits[begin] & exponent) == exponent)
        return begin;
  }
  return -1;
}

int64_t bq::firstNonFinite(ElementType type, const void *values, int64_t begin, int64_t end) {
  switch (type) {
  case ElementType::F32:
    return firstWithExponent<uint32_t, 0x7f800000>(values, begin, end);
  case ElementType::F16:
    return firstWithExponent<uint16_t, 0x7c00>(values, begin, end);
  case ElementType::BF16:
    return firstWithExponent<uint16_t, 0x7f80>(values, begin, end);
  }
  return -1;
}

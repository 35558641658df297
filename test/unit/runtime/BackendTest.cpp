// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every backend accepts.
#include "runtime/Backend.h"

#include <gtest/gtest.h>
#include <limits>
#include <vector>

using namespace bq;

namespace {

constexpr int64_t maxInt = std::numeric_limits<int64_t>::max();

/// A weight that verifies; its pointers are not followed.
CanonicalWeight weightOf(const char *format, int64_t n = 3, int64_t k = 10) {
  static const float anything[16] = {};
  CanonicalWeight weight;
  weight.format = *Format::parse(format);
  weight.n = n;
  weight.k = k;
  weight.codes = reinterpret_cast<const uint8_t *>(anything);
  weight.scales = anything;
  if (weight.format.hasZeroPoints()) {
    weight.zeros = anything;
    weight.zeroType = ZeroPointType::U8;
  }
  if (weight.format.kind == Format::Kind::Lut)
    weight.table = anything;
  return weight;
}

std::string refusal(const CanonicalWeight &weight) {
  Status status = weight.verify();
  return status ? "" : status.error().message;
}

QuantizeArgs quantizeOf(const char *format) {
  static float anything[16];
  QuantizeArgs args;
  args.format = *Format::parse(format);
  args.n = 3;
  args.k = args.stride = 10;
  args.weight = args.scales = anything;
  args.codes = reinterpret_cast<uint8_t *>(anything);
  if (args.format.hasZeroPoints())
    args.zeros = reinterpret_cast<uint8_t *>(anything);
  return args;
}

std::string refusal(const QuantizeArgs &args) {
  Status status = args.verify();
  return status ? "" : status.error().message;
}

void expectIn(const std::string &text, const std::string &all) { EXPECT_NE(all.find(text), std::string::npos) << all; }

} // namespace

TEST(CanonicalWeight, EveryFormatVerifies) {
  for (const char *format : {"int4:g4", "uint3", "uint8:g100", "nf4:g4", "fp4", "lut2:g3", "sign"})
    EXPECT_EQ(refusal(weightOf(format)), "") << format;
  CanonicalWeight floatZeros = weightOf("uint4");
  floatZeros.zeroType = ZeroPointType::F32;
  EXPECT_EQ(refusal(floatZeros), "");
}

TEST(CanonicalWeight, NoRowsNeedNoMemory) {
  CanonicalWeight weight = weightOf("uint4:g4", 0);
  weight.codes = nullptr;
  weight.scales = weight.zeros = nullptr;
  EXPECT_EQ(refusal(weight), "");
}

TEST(CanonicalWeight, SizesAreChecked) {
  expectIn("n is -1:", refusal(weightOf("int4", -1)));
  expectIn("k is 0:", refusal(weightOf("int4", 3, 0)));
  expectIn("k is -5:", refusal(weightOf("int4", 3, -5)));
  expectIn("elements", refusal(weightOf("int4", maxInt, 2)));
  expectIn("elements", refusal(weightOf("int4", 1, maxInt)));
  expectIn("elements", refusal(weightOf("int4", int64_t{1} << 32, int64_t{1} << 32)));
}

TEST(CanonicalWeight, MissingPartsAreNamed) {
  CanonicalWeight noCodes = weightOf("int4"), noScales = weightOf("int4"), noZeros = weightOf("uint4"),
                  noTable = weightOf("lut3");
  noCodes.codes = nullptr;
  noScales.scales = nullptr;
  noZeros.zeros = nullptr;
  noTable.table = nullptr;
  expectIn("codes is null", refusal(noCodes));
  expectIn("scales is null", refusal(noScales));
  expectIn("zeros is null", refusal(noZeros));
  expectIn("table is null", refusal(noTable));
}

TEST(CanonicalWeight, PartsThatTheFormatDoesNotHaveAreRefused) {
  CanonicalWeight untyped = weightOf("uint4"), typed = weightOf("int4"), zeros = weightOf("nf4"),
                  table = weightOf("nf4");
  untyped.zeroType = ZeroPointType::None;
  typed.zeroType = ZeroPointType::U8;
  zeros.zeros = zeros.scales;
  table.table = nf4Table;
  expectIn("format 'uint4' needs u8 or f32", refusal(untyped));
  expectIn("zero points are of type u8: format 'int4' has none", refusal(typed));
  expectIn("zeros is given, but format 'nf4' has none", refusal(zeros));
  expectIn("table is given, but format 'nf4' has none", refusal(table));
}

TEST(CanonicalWeight, FormatsThatNoTextSpellsAreRefused) {
  CanonicalWeight weight = weightOf("int4");
  weight.format.bits = 9;
  expectIn("int9", refusal(weight));
  weight = weightOf("sign");
  weight.format.bits = 2;
  expectIn("sign", refusal(weight));
}

TEST(CanonicalWeight, EachGroupHasItsNumberOfColumns) {
  CanonicalWeight weight = weightOf("int4:g4"); // groups of 4, 4 and 2 columns
  std::vector<int32_t> good{2, 0, 0, 1, 1, 0, 2, 1, 0, 1}, outside = good, negative = good, uneven = good;
  outside[3] = 3;
  negative[3] = -1;
  uneven[0] = 1;
  weight.groupIndex = good.data();
  EXPECT_EQ(refusal(weight), "");
  weight.groupIndex = outside.data();
  expectIn("groupIndex[3] is 3: format 'int4:g4' has groups 0 to 2", refusal(weight));
  weight.groupIndex = negative.data();
  expectIn("groupIndex[3] is -1", refusal(weight));
  weight.groupIndex = uneven.data();
  expectIn("groupIndex puts 5 columns in group 1: format 'int4:g4' has 4 there for k = 10", refusal(weight));
}

TEST(QuantizeArgs, EveryFormatButLutVerifies) {
  for (const char *format : {"int4:g4", "uint3", "nf4:g4", "fp4", "sign"})
    EXPECT_EQ(refusal(quantizeOf(format)), "") << format;
  expectIn("its table comes from the caller", refusal(quantizeOf("lut2")));
}

TEST(QuantizeArgs, SignNeedsNoScales) {
  QuantizeArgs args = quantizeOf("sign");
  args.scales = nullptr;
  EXPECT_EQ(refusal(args), "");
}

TEST(QuantizeArgs, WhatDoesNotFitIsNamed) {
  QuantizeArgs args = quantizeOf("int4");
  args.stride = 9;
  expectIn("stride is 9", refusal(args));
  args = quantizeOf("int4");
  args.n = -1;
  expectIn("n is -1", refusal(args));
  args = quantizeOf("int4");
  args.k = 0;
  expectIn("k is 0", refusal(args));
  args = quantizeOf("int4");
  args.weight = nullptr;
  expectIn("weight is null", refusal(args));
  args = quantizeOf("int4");
  args.codes = nullptr;
  expectIn("codes is null", refusal(args));
  args = quantizeOf("int4");
  args.scales = nullptr;
  expectIn("scales is null", refusal(args));
  args = quantizeOf("uint4");
  args.zeros = nullptr;
  expectIn("zeros is null", refusal(args));
  args = quantizeOf("int4");
  args.zeros = args.codes;
  expectIn("zeros is given", refusal(args));
}

TEST(SerialFor, DoesEverythingOnceAndNothingForNothing) {
  std::vector<std::pair<int64_t, int64_t>> calls;
  auto body = [&](int64_t begin, int64_t end) { calls.emplace_back(begin, end); };
  serialFor(2, 9, 1, body);
  serialFor(3, 3, 1, body);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0], std::make_pair(int64_t{2}, int64_t{9}));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace bq;

namespace {

std::string errorOf(std::string_view text) {
  Expected<Format> format = Format::parse(text);
  return format ? "parsed as " + format->str() : format.error().message;
}

} // namespace

TEST(Format, EveryFormParsesAndPrintsBack) {
  std::vector<std::string> heads = {"nf4", "fp4"};
  for (int bits = 2; bits <= 8; ++bits)
    heads.push_back("int" + std::to_string(bits));
  for (int bits = 1; bits <= 8; ++bits)
    heads.push_back("uint" + std::to_string(bits));
  for (int bits = 1; bits <= 4; ++bits)
    heads.push_back("lut" + std::to_string(bits));
  std::vector<std::string> texts = {"sign"};
  for (const std::string &head : heads)
    for (const char *group : {"", ":g1", ":g7", ":g128", ":g4096"})
      texts.push_back(head + group);
  for (const std::string &text : texts) {
    Expected<Format> format = Format::parse(text);
    ASSERT_TRUE(format) << text << ": " << format.error().message;
    EXPECT_EQ(format->str(), text);
    EXPECT_EQ(*format, *Format::parse(format->str()));
  }
}

TEST(Format, FieldsSayWhatTheTextSays) {
  EXPECT_EQ(*Format::parse("int4:g128"), (Format{Format::Kind::Int, 4, 128}));
  EXPECT_EQ(*Format::parse("uint1"), (Format{Format::Kind::UInt, 1, 0}));
  EXPECT_EQ(*Format::parse("nf4:g64"), (Format{Format::Kind::NF4, 4, 64}));
  EXPECT_EQ(*Format::parse("fp4"), (Format{Format::Kind::FP4, 4, 0}));
  EXPECT_EQ(*Format::parse("lut3:g20"), (Format{Format::Kind::Lut, 3, 20}));
  EXPECT_EQ(*Format::parse("sign"), (Format{Format::Kind::Sign, 1, 0}));
  EXPECT_NE(*Format::parse("int4"), *Format::parse("uint4"));
  EXPECT_NE(*Format::parse("int4"), *Format::parse("int5"));
  EXPECT_NE(*Format::parse("int4:g8"), *Format::parse("int4:g16"));
}

TEST(Format, ErrorsNameTextRuleAndWhatIsAccepted) {
  EXPECT_EQ(errorOf("int9"), "format 'int9' has 9 bits: use int2..int8, uint1..uint8, nf4, fp4, lut1..lut4 or mixed "
                             "with an optional group size as in int4:g128, or sign");
  const std::pair<const char *, const char *> bad[] = {
      {"", "'' is not known"},
      {"int", "has no number of bits"},
      {"int1", "has 1 bits"},
      {"int0", "has 0 bits"},
      {"int-4", "is not known"},
      {"uint0", "has 0 bits"},
      {"uint9", "has 9 bits"},
      {"uint99999999999999999999", "has no number of bits"},
      {"nf3", "has 3 bits"},
      {"fp8", "has 8 bits"},
      {"lut0", "has 0 bits"},
      {"lut5", "has 5 bits"},
      {"INT4", "is not known"},
      {"int4 ", "has no number of bits"},
      {" int4", "is not known"},
      {"int4x", "has no number of bits"},
      {"int4:", "has '' where a group size is expected"},
      {"int4:128", "has '128' where a group size is expected"},
      {"int4:g", "has 'g' where a group size is expected"},
      {"int4:g0", "has group size 0, which must be positive"},
      {"int4:g-1", "has 'g-1' where a group size is expected"},
      {"int4:g+1", "has 'g+1' where a group size is expected"},
      {"int4:g128x", "has 'g128x' where a group size is expected"},
      {"int4:g8:g8", "has 'g8:g8' where a group size is expected"},
      {"int4:g99999999999999999999", "where a group size is expected"},
      {"sign:g8", "has a group size, but sign has one scale for a row and one for a column"},
      {"sign1", "is not known"},
      {"mixed4", "is not known"},
      {"mixed:g0", "group size 0"},
      {"mixed:8", "'8' where a group size is expected"},
  };
  for (auto [text, why] : bad) {
    const std::string error = errorOf(text);
    EXPECT_NE(error.find(why), std::string::npos) << text << " gave: " << error;
    EXPECT_NE(error.find("use int2..int8"), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

TEST(Format, KindsDifferInWhatTheyCarry) {
  EXPECT_TRUE(Format::parse("uint4")->hasZeroPoints());
  EXPECT_TRUE(Format::parse("sign")->hasColumnScale());
  for (const char *text : {"nf4", "fp4", "lut2"})
    EXPECT_TRUE(Format::parse(text)->isTable()) << text;
  for (const char *text : {"int4", "nf4", "fp4", "lut2", "sign"})
    EXPECT_FALSE(Format::parse(text)->hasZeroPoints()) << text;
  for (const char *text : {"int4", "uint4", "nf4"})
    EXPECT_FALSE(Format::parse(text)->hasColumnScale()) << text;
  for (const char *text : {"int4", "uint4", "sign"})
    EXPECT_FALSE(Format::parse(text)->isTable()) << text;
}

TEST(Format, CanonicalGeometry) {
  const Format grouped = *Format::parse("uint3:g32"), whole = *Format::parse("int5");
  EXPECT_EQ(grouped.groupSize(100), 32);
  EXPECT_EQ(grouped.groupCount(100), 4); // the last holds 4
  EXPECT_EQ(grouped.groupCount(96), 3);
  EXPECT_EQ(grouped.groupSize(20), 20); // a row shorter than a group is one group
  EXPECT_EQ(grouped.groupCount(20), 1);
  EXPECT_EQ(grouped.groupCount(0), 0);
  EXPECT_EQ(whole.groupSize(77), 77);
  EXPECT_EQ(whole.groupCount(77), 1);
  for (int64_t k : {1, 2, 3, 7, 8, 9, 13, 1000})
    for (int bits = 1; bits <= 8; ++bits) {
      const Format format{Format::Kind::UInt, bits, 0};
      EXPECT_EQ(format.rowBytes(k), static_cast<int64_t>(std::ceil(static_cast<double>(k) * bits / 8)));
    }
}

TEST(Format, TablesAreThePublishedOnes) {
  EXPECT_TRUE(std::is_sorted(nf4Table, nf4Table + 16));
  EXPECT_EQ(nf4Table[0], -1.0f);
  EXPECT_EQ(nf4Table[7], 0.0f);
  EXPECT_EQ(nf4Table[15], 1.0f);
  for (int code = 0; code < 16; ++code) {
    // E2M1: sign, two bits of exponent with bias 1, one bit of fraction.
    const int exponent = code >> 1 & 3, fraction = code & 1;
    const float magnitude = exponent ? std::ldexp(1 + fraction / 2.0f, exponent - 1) : fraction / 2.0f;
    EXPECT_EQ(std::fabs(fp4Table[code]), magnitude) << code;
    EXPECT_EQ(std::signbit(fp4Table[code]), code >= 8) << code;
  }
}

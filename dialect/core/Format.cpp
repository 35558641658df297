// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Format.h"

#include <charconv>

using namespace bq;

const float bq::nf4Table[16] = {-1.0f,
                                -0.6961928009986877f,
                                -0.5250730514526367f,
                                -0.39491748809814453f,
                                -0.28444138169288635f,
                                -0.18477343022823334f,
                                -0.09105003625154495f,
                                0.0f,
                                0.07958029955625534f,
                                0.16093020141124725f,
                                0.24611230194568634f,
                                0.33791524171829224f,
                                0.44070982933044434f,
                                0.5626170039176941f,
                                0.7229568362236023f,
                                1.0f};

const float bq::fp4Table[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

namespace {

constexpr const char *accepted =
    "use int2..int8, uint1..uint8, nf4, fp4, lut1..lut4 or mixed with an optional group size as in int4:g128, or sign";

/// All of `text` as a decimal number.
bool parseNumber(std::string_view text, int64_t &value) {
  if (text.empty() || text[0] < '0' || text[0] > '9')
    return false;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

struct Family {
  std::string_view name;
  Format::Kind kind;
  int minBits, maxBits;
};
constexpr Family families[] = {{"int", Format::Kind::Int, 2, 8},
                               {"uint", Format::Kind::UInt, 1, 8},
                               {"nf", Format::Kind::NF4, 4, 4},
                               {"fp", Format::Kind::FP4, 4, 4},
                               {"lut", Format::Kind::Lut, 1, 4}};
/// Groups have 1 to 15 bits, which the codes themselves say.
constexpr Family mixedFamily = {"mixed", Format::Kind::Mixed, 15, 15};

} // namespace

Expected<Format> Format::parse(std::string_view text) {
  auto refuse = [&](const std::string &why) {
    return invalidArgument("format '" + std::string(text) + "' " + why + ": " + accepted);
  };
  if (text == "sign")
    return Format{Kind::Sign, 1, 0};
  size_t colon = text.find(':');
  std::string_view head = text.substr(0, colon);
  if (head == "sign")
    return refuse("has a group size, but sign has one scale for a row and one for a column");
  auto parseGroup = [&](int64_t &group) -> Status {
    if (colon == std::string_view::npos)
      return {};
    std::string_view tail = text.substr(colon + 1);
    if (tail.empty() || tail[0] != 'g' || !parseNumber(tail.substr(1), group))
      return refuse("has '" + std::string(tail) + "' where a group size is expected");
    if (group <= 0)
      return refuse("has group size 0, which must be positive");
    return {};
  };
  if (head == mixedFamily.name) {
    Format format{mixedFamily.kind, mixedFamily.maxBits, 0};
    if (Status status = parseGroup(format.group); !status)
      return status.error();
    return format;
  }

  size_t digits = head.find_first_of("0123456789");
  for (const Family &family : families) {
    if (head.substr(0, digits) != family.name)
      continue;
    int64_t bits = 0, group = 0;
    if (digits == std::string_view::npos || !parseNumber(head.substr(digits), bits))
      return refuse("has no number of bits");
    if (bits < family.minBits || bits > family.maxBits)
      return refuse("has " + std::to_string(bits) + " bits");
    if (Status status = parseGroup(group); !status)
      return status.error();
    return Format{family.kind, static_cast<int>(bits), group};
  }
  return refuse("is not known");
}

std::string Format::str() const {
  if (kind == Kind::Sign)
    return "sign";
  std::string text = isMixed() ? std::string(mixedFamily.name) : "";
  for (const Family &family : families)
    if (family.kind == kind)
      text = std::string(family.name) + std::to_string(bits);
  return group ? text + ":g" + std::to_string(group) : text;
}

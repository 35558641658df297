// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Cases.h"

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

Format WeightKind::grouped(int64_t group) const {
  Format result = format;
  result.group = format.hasColumnScale() ? 0 : group;
  return result;
}

const std::vector<WeightKind> &bq::conformance::weightKinds() {
  static const std::vector<WeightKind> kinds = [] {
    std::vector<WeightKind> kinds;
    for (int bits = 2; bits <= 8; ++bits)
      kinds.push_back({{Format::Kind::Int, bits, 0}});
    for (int bits = 1; bits <= 8; ++bits)
      for (ZeroPointType zeros : {ZeroPointType::U8, ZeroPointType::F32})
        kinds.push_back({{Format::Kind::UInt, bits, 0}, zeros});
    kinds.push_back({{Format::Kind::NF4, 4, 0}});
    kinds.push_back({{Format::Kind::FP4, 4, 0}});
    for (int bits = 1; bits <= 4; ++bits)
      kinds.push_back({{Format::Kind::Lut, bits, 0}});
    kinds.push_back({{Format::Kind::Sign, 1, 0}});
    return kinds;
  }();
  return kinds;
}

std::string bq::conformance::weightName(const Format &format, ZeroPointType zeroType, ElementType scaleType) {
  std::string name = format.str();
  name.erase(std::remove(name.begin(), name.end(), ':'), name.end());
  if (zeroType != ZeroPointType::None)
    name += "z" + std::string(str(zeroType));
  return name + "s" + std::string(str(scaleType));
}

std::string bq::conformance::numbered(size_t index) {
  const std::string digits = std::to_string(index);
  return std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

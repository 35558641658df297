// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/ops/GptqCase.h"

#include <algorithm>

using namespace bq;
using namespace bq::golden;

GbaStatistics golden::gbaStatistics(const Case &given) {
  GbaStatistics statistics;
  statistics.statistic = given.optionalInput("qstatistic");
  statistics.scales = given.optionalInput("qscales");
  statistics.scaleZeros = given.optionalInput("qscales_zeros");
  statistics.scaleScales = given.optionalInput("qscales_scales");
  statistics.zeroZeros = given.optionalInput("qzeros_zeros");
  statistics.zeroScales = given.optionalInput("qzeros_scales");
  return statistics;
}

GptqWeight golden::gptqWeight(const Case &given) {
  GptqWeight weight;
  weight.words = given.input("qweight");
  weight.groupIndex = given.optionalInput("g_idx");
  weight.rowOrder = given.optionalInput("q_perm");
  weight.bits = given.integer("w_bit");
  weight.inFeatures = given.integer("in", weight.words.size(0) * 32 / std::max<int64_t>(1, weight.bits));
  weight.zeroConvention = given.flag("asym", false) ? ZeroConvention::StoredMinusOne : ZeroConvention::Scaled;
  weight.scales = given.optionalInput("scales");
  weight.zeros = given.optionalInput("zeros");
  if (!weight.scales.defined()) {
    auto [scales, zeros] = decodeGba(gbaStatistics(given));
    weight.scales = scales;
    if (!weight.zeros.defined())
      weight.zeros = zeros;
  }
  return weight;
}

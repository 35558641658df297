// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/LayerFilter.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>

using namespace bq::onebit;
using testing::ElementsAre;

namespace {

const std::vector<std::string> names = {"0.query", "0.key", "1.query", "1.key", "per_layer_model_projection",
                                        "lm_head"};

} // namespace

TEST(LayerFilter, LeavesHeadsAndProjectionsAloneByDefault) {
  EXPECT_THAT(LayerFilter().select(names), ElementsAre("0.query", "0.key", "1.query", "1.key"));
}

TEST(LayerFilter, IncludesByNameAndKeyword) {
  LayerFilter filter;
  filter.includeKeywords = {"query", "head"};
  EXPECT_THAT(filter.select(names), ElementsAre("0.query", "1.query"));
  filter.includeNames = {"1.query", "lm_head"};
  EXPECT_THAT(filter.select(names), ElementsAre("1.query"));
  filter.excludeNames.clear();
  EXPECT_THAT(filter.select(names), ElementsAre("1.query", "lm_head"));
  filter.excludeKeywords = {"1."};
  EXPECT_THAT(filter.select(names), ElementsAre("lm_head"));
}

TEST(LayerFilter, TakesTheFirstLayersAndMissesNone) {
  LayerFilter filter;
  filter.layers = 3;
  EXPECT_THAT(filter.select(names), ElementsAre("0.query", "0.key", "1.query"));
  filter.layers = 5;
  EXPECT_THROW(filter.select(names), c10::Error);
  filter.layers = 0;
  EXPECT_THROW(filter.select(names), c10::Error);
}

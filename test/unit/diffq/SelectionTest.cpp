// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/DiffQuantizer.h"
#include "quantizers/diffq/LSQ.h"
#include "quantizers/diffq/UniformQuantizer.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>
#include <torch/nn/modules.h>

using namespace bq;
using bq::test::messageOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::vector<std::string> namesOf(const ModelQuantizer &quantizer) {
  std::vector<std::string> names;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    names.push_back(entry.name);
  return names;
}

std::string refusal(const DiffQuantizerOptions &options) {
  torch::nn::Linear model(8, 8);
  return messageOf([&] { DiffQuantizer(*model, options); });
}

} // namespace

TEST(Patterns, MatchWholeNamesAsAShellDoes) {
  for (const char *pattern : {"*", "enc*ight", "encoder.?.weight", "[a-e]*", "[!x]*", "*[].]weight", "*.[0-9].*"})
    EXPECT_TRUE(diffq::matchesPattern(pattern, "encoder.0.weight")) << pattern;
  for (const char *pattern : {"", "weight", "Encoder*", "[!e]*", "encoder.[!0].weight", "encoder.0.weight?", "[e"})
    EXPECT_FALSE(diffq::matchesPattern(pattern, "encoder.0.weight")) << pattern;
  // A set that nothing closes is text.
  EXPECT_TRUE(diffq::matchesPattern("[e", "[e"));
}

TEST(Selection, LeavesSmallAndExcludedParametersAlone) {
  torch::nn::Sequential model(torch::nn::Linear(64, 41), torch::nn::Linear(41, 64), torch::nn::Linear(2621, 1));
  DiffQuantizer quantizer(*model, DiffQuantizerOptions().exclude({"1.*"}).float16(true));
  EXPECT_THAT(namesOf(quantizer), ElementsAre("0.weight"));
  EXPECT_THAT(quantizer.float16Names(), ElementsAre("0.bias", "1.weight", "1.bias", "2.weight", "2.bias"));
}

TEST(Selection, RefusesOptionsByName) {
  EXPECT_THAT(refusal(DiffQuantizerOptions().noise("salt")),
              HasSubstr("noise is 'salt', expected gaussian or uniform"));
  EXPECT_THAT(refusal(DiffQuantizerOptions().param("x")), HasSubstr("param is 'x', expected bits or noise"));
  EXPECT_THAT(refusal(DiffQuantizerOptions().min_bits(0)), HasSubstr("min_bits is 0"));
  EXPECT_THAT(refusal(DiffQuantizerOptions().max_bits(16)), HasSubstr("max_bits is 16, expected 15 or less"));
  EXPECT_THAT(refusal(DiffQuantizerOptions().group_size(-1)), HasSubstr("group_size is -1"));
  EXPECT_THAT(refusal(DiffQuantizerOptions().init_bits(2)), HasSubstr("init_bits is 2, expected a number between"));
  torch::nn::Linear model(8, 8);
  EXPECT_THAT(messageOf([&] { LSQ(*model, LSQOptions().bits(16)); }), HasSubstr("bits is 16, expected 1 to 15"));
  EXPECT_THAT(messageOf([&] { UniformQuantizer(*model, UniformQuantizerOptions().bits(2.5)); }),
              HasSubstr("bits is 2.5, expected a whole number"));
}

TEST(Selection, OneModelHasOneQuantizer) {
  torch::nn::Linear model(64, 64);
  DiffQuantizer first(*model);
  EXPECT_THAT(messageOf([&] { DiffQuantizer{*model}; }), HasSubstr("has a quantizer already"));
  EXPECT_THAT(messageOf([&] { UniformQuantizer{*model}; }), HasSubstr("'weight' has a quantizer already"));
  EXPECT_TRUE(model->named_parameters().contains("weight_diffq"));
  first.detach();
  EXPECT_FALSE(model->named_parameters().contains("weight_diffq"));
  EXPECT_EQ(messageOf([&] { DiffQuantizer{*model}; }), "accepted");
  EXPECT_THAT(messageOf([&] { first.quantize(); }), HasSubstr("detached"));
}

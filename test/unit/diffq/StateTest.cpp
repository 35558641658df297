// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/BitPlanes.h"
#include "quantizers/diffq/LSQ.h"
#include "quantizers/diffq/UniformQuantizer.h"
#include "quantizers/diffq/UpstreamState.h"
#include "test/unit/MessageOf.h"
#include "test/unit/diffq/Support.h"
#include "test/unit/diffq/TiedModel.h"

#include <gmock/gmock.h>

#include <filesystem>

using namespace bq;
using bq::test::expectEqual;
using bq::test::messageOf;
using bq::test::network;
using bq::test::spreadBits;
using bq::test::valuesOf;
using testing::HasSubstr;

using at::Tensor;

namespace {

DiffQuantizerOptions small() { return bq::test::small(8); }

template <typename Quantizer>
void expectRoundTrip(Quantizer &quantizer, torch::nn::Module &model, torch::nn::Module &other) {
  for (const bool packed : {true, false}) {
    const QuantizedState state = quantizer.getQuantizedState(packed);
    restoreQuantizedState(other, state);
    quantizer.quantize();
    const std::vector<Tensor> expected = valuesOf(model);
    quantizer.unquantize();
    expectEqual(valuesOf(other), expected);
  }
}

} // namespace

TEST(State, HoldsAllBitsAndBuffers) {
  torch::nn::Sequential model = network(), other = network();
  DiffQuantizer quantizer(*model, small());
  spreadBits(quantizer);
  EXPECT_EQ(unpackMixed(quantizer.packed("0.weight")).bits.max().item<int64_t>(), 15);
  expectRoundTrip(quantizer, *model, *other);
}

TEST(State, OfOtherQuantizersAndOptions) {
  torch::nn::Sequential model = network(), other = network();
  {
    LSQ quantizer(*model, LSQOptions().min_size(0).bits(5));
    expectRoundTrip(quantizer, *model, *other);
  }
  {
    UniformQuantizer quantizer(*model, UniformQuantizerOptions().min_size(0).bits(15).float16(true));
    expectRoundTrip(quantizer, *model, *other);
  }
  // Groups that do not divide, one group for all, and half for what is small.
  for (const int64_t groupSize : {5, 0}) {
    DiffQuantizer quantizer(*model, small().group_size(groupSize).min_size(0.0003).float16(true).extra_bits(0.5));
    spreadBits(quantizer);
    expectRoundTrip(quantizer, *model, *other);
  }
}

TEST(State, OfTiedWeightsIsThereOnce) {
  auto model = std::make_shared<bq::test::TiedModel>(), other = std::make_shared<bq::test::TiedModel>();
  DiffQuantizer quantizer(*model, small());
  const QuantizedState state = quantizer.getQuantizedState();
  EXPECT_TRUE(state.tensors.count("a.weight.codes"));
  EXPECT_FALSE(state.tensors.count("b.weight.codes"));
  expectRoundTrip(quantizer, *model, *other);
}

TEST(State, FileIsAsLargeAsTheTrueSize) {
  torch::nn::Sequential model(torch::nn::Linear(300, 256), torch::nn::BatchNorm1d(256), torch::nn::Linear(256, 100));
  DiffQuantizer quantizer(*model, DiffQuantizerOptions());
  for (int round = 0; round < 2; ++round) {
    const double estimate = quantizer.trueModelSize() * 1048576, file = quantizer.packedModelSize() * 1048576;
    EXPECT_LE(file, estimate * 1.01 + 4096);
    EXPECT_GE(file, estimate * 0.99);
    spreadBits(quantizer);
  }
  EXPECT_LT(quantizer.compressedModelSize(), quantizer.trueModelSize() * 4);
}

TEST(State, SurvivesAFile) {
  torch::nn::Sequential model = network(), other = network();
  DiffQuantizer quantizer(*model, small());
  spreadBits(quantizer);
  const std::string path = testing::TempDir() + "state.safetensors";
  writeSafeTensors(path, quantizer.getQuantizedState());
  restoreQuantizedState(*other, readSafeTensors(path));
  quantizer.quantize();
  expectEqual(valuesOf(*other), valuesOf(*model));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 100);
  EXPECT_THAT(messageOf([&] { readSafeTensors(path); }), HasSubstr("state.safetensors"));
}

TEST(State, OfAnotherModelIsRefusedAndChangesNothing) {
  torch::nn::Sequential model = network();
  DiffQuantizer quantizer(*model, small());
  const std::vector<Tensor> before = valuesOf(*model);
  const auto refusal = [&](QuantizedState state) {
    const std::string text = messageOf([&] { quantizer.restoreQuantizedState(state); });
    expectEqual(valuesOf(*model), before);
    return text;
  };
  torch::nn::Sequential smaller(torch::nn::Conv2d(3, 8, 3)),
      wider(torch::nn::Conv2d(3, 8, 5), torch::nn::BatchNorm2d(8), torch::nn::Linear(13, 7));
  EXPECT_THAT(refusal(DiffQuantizer(*smaller, small()).getQuantizedState()), HasSubstr("no quantized '1.weight'"));
  EXPECT_THAT(refusal(DiffQuantizer(*wider, small()).getQuantizedState()),
              HasSubstr("'0.weight' of the state is [8, 3, 5, 5], this model needs [8, 3, 3, 3]"));
  torch::nn::Sequential other = network();
  EXPECT_THAT(refusal(UniformQuantizer(*other).getQuantizedState()),
              HasSubstr("the state is of UniformQuantizer, expected one of DiffQuantizer"));
  QuantizedState state = quantizer.getQuantizedState();
  QuantizedState damaged = state;
  damaged.tensors["2.weight.codes"] = state.tensors["2.weight.codes"].slice(0, 0, -3).clone();
  EXPECT_THAT(refusal(damaged), HasSubstr("'2.weight' of the state is damaged"));
  damaged = state;
  damaged.tensors["1.running_mean"] = at::zeros({9});
  EXPECT_THAT(refusal(damaged), HasSubstr("'1.running_mean' of the state is Float [9], this model needs Float [8]"));
  damaged = state;
  damaged.tensors["stray"] = at::zeros({1});
  EXPECT_THAT(refusal(damaged), HasSubstr("'stray', which this model has no place for"));
  EXPECT_THAT(refusal(QuantizedState()), HasSubstr("it is no quantized state"));
}

TEST(State, PassesThroughUpstreamsForm) {
  torch::nn::Linear model(40, 40);
  DiffQuantizer quantizer(*model, small());
  spreadBits(quantizer);
  const MixedWeight weight = quantizer.packed("weight");
  for (const auto order : {diffq::PlaneOrder::Lines, diffq::PlaneOrder::Strided}) {
    diffq::UpstreamWeight planes = diffq::toUpstream(weight, 2, order);
    EXPECT_TRUE(diffq::fromUpstream(planes, 2, order, weight.shape, 8).codes.equal(weight.codes));
    // As upstream saves it.
    planes.levels.resize(14);
    EXPECT_THAT(messageOf([&] { diffq::fromUpstream(planes, 2, order, weight.shape, 8); }),
                HasSubstr("groups have 15 bits, whose levels are missing"));
  }
}

TEST(BitPlanes, RefuseWhatDoesNotFit) {
  EXPECT_THAT(messageOf([] { diffq::packLines(at::tensor({8}), 3); }), HasSubstr("the value 8 needs 4 bits, 3 are"));
  EXPECT_THAT(messageOf([] { diffq::packStrided(at::tensor({-1})); }), HasSubstr("expected 0 to 32767"));
  EXPECT_THAT(messageOf([] { diffq::packStrided(at::tensor({1}), 0, at::kFloat); }), HasSubstr("words are Float"));
  EXPECT_THAT(messageOf([] { diffq::unpackLines(at::zeros({1, 2, 32}, at::kLong), 2049); }),
              HasSubstr("2049 values are asked for, 2048 are there"));
}

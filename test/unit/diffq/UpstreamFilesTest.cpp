// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UpstreamFiles.h"
#include "quantizers/PickleFile.h"
#include "test/unit/MessageOf.h"
#include "test/unit/diffq/Support.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

using namespace bq;
using namespace bq::diffq;
using bq::test::expectEqual;
using bq::test::messageOf;
using bq::test::network;
using bq::test::spreadBits;
using bq::test::valuesOf;
using testing::HasSubstr;

using at::Tensor;

namespace {

/// Groups that divide every parameter, and bits that upstream can save; what is small is kept, as half for `half`.
DiffQuantizerOptions options(bool half = false) {
  return DiffQuantizerOptions().min_size(half ? 0.0003 : 0).group_size(1).max_bits(14).float16(half);
}

std::string file(const char *name) { return testing::TempDir() + name; }

std::vector<Tensor> roundedValues(DiffQuantizer &quantizer, torch::nn::Module &model) {
  quantizer.quantize();
  std::vector<Tensor> values = valuesOf(model);
  quantizer.unquantize();
  return values;
}

c10::Dict<c10::IValue, c10::IValue> read(const std::string &path) {
  return readPickle(path, "a state", {"diffq.diffq.DiffQuantizer"}).toGenericDict();
}

} // namespace

TEST(UpstreamFiles, ComeBackInBothOrders) {
  const std::string path = file("both.pt");
  for (const auto order : {PlaneOrder::Lines, PlaneOrder::Strided})
    for (const bool half : {false, true}) {
      torch::nn::Sequential model = network(), other = network();
      DiffQuantizer quantizer(*model, options(half)), reader(*other, options(half));
      spreadBits(quantizer);
      writeUpstreamState(path, quantizer, order);
      const std::vector<Tensor> buffers = other->buffers();
      readUpstreamState(path, reader);
      std::vector<Tensor> expected = roundedValues(quantizer, *model);
      // Upstream has no place for buffers.
      std::copy(buffers.begin(), buffers.end(), expected.end() - static_cast<std::ptrdiff_t>(buffers.size()));
      expectEqual(valuesOf(*other), expected);
    }
}

TEST(UpstreamFiles, AreAsUpstreamHasThem) {
  const std::string path = file("form.pt");
  torch::nn::Linear model(40, 40);
  DiffQuantizer quantizer(*model, options(true).group_size(8));
  spreadBits(quantizer);
  writeUpstreamState(path, quantizer, PlaneOrder::Lines);
  const auto state = read(path);
  ASSERT_EQ(state.at("quantized").toListRef().size(), 1U);
  const auto &entry = state.at("quantized").toListRef()[0].toTupleRef().elements();
  EXPECT_EQ(entry[0].toListRef().size(), 14U);
  EXPECT_TRUE(entry[0].toListRef()[0].isNone());
  // 8 weights of each of some 15 groups of 4 bits: one line of 2048.
  EXPECT_EQ(entry[0].toListRef()[3].toTensor().sizes(), at::IntArrayRef({1, 4, 32}));
  EXPECT_EQ(entry[1].toTupleRef().elements()[0].toDouble(), model->weight.min().item<double>());
  EXPECT_EQ(entry[2].toTensor().sizes(), at::IntArrayRef({1, 4, 32}));
  EXPECT_TRUE(state.at("float16").toListRef()[0].toTensor().equal(model->bias.detach().to(at::kHalf)));
  EXPECT_EQ(state.at("others").toListRef().size(), 0U);
  const auto meta = state.at("meta").toGenericDict(), arguments = meta.at("init_kwargs").toGenericDict();
  EXPECT_TRUE(meta.at("packed").toBool());
  EXPECT_FALSE(meta.at("torch_pack").toBool());
  EXPECT_EQ(arguments.at("group_size").toInt(), 8);
  EXPECT_EQ(arguments.at("max_bits").toInt(), 14);
  EXPECT_EQ(arguments.size(), 12U);
}

TEST(UpstreamFiles, PythonReadsAndWritesThem) {
  const std::string folder = file("python");
  std::filesystem::create_directories(folder);
  const auto run = [&](const char *action) {
    const std::string command =
        std::string(BQ_TEST_PYTHON " -B " BQ_TEST_UPSTREAM_STATE " ") + action + " '" + folder + "'";
    return std::system(command.c_str());
  };
  ASSERT_EQ(run("write"), 0);
  // As upstream_state.py says.
  const Tensor group = at::arange(48), bits = group.remainder(13) + 2;
  const Tensor levels = (7 * at::arange(8) + group.unsqueeze(1))
                            .remainder(at::bitwise_left_shift(at::ones_like(bits), bits).unsqueeze(1));
  const MixedWeight weight = packMixed(levels.to(at::kShort), bits.to(at::kByte), -1, 2, {16, 24});
  torch::nn::Linear model(24, 16);
  DiffQuantizer quantizer(*model, options(true).group_size(8).init_bits(8));
  for (const auto &[name, order] : {std::pair("lines.pt", PlaneOrder::Lines), {"strided.pt", PlaneOrder::Strided}}) {
    const std::string path = folder + "/" + name;
    readUpstreamState(path, quantizer);
    EXPECT_TRUE(model->weight.equal(dequantizeMixed(weight))) << name;
    EXPECT_TRUE(model->bias.equal(at::arange(16) / 16.0)) << name;
    // The bits that the state was made of; a restored weight has the same codes with these.
    const Tensor share = (bits - 2) / 12.0;
    quantizer.quantizedParameters()[0].learned.detach().copy_(at::logit(share, 1e-4));
    ASSERT_TRUE(quantizer.packed("weight").codes.equal(weight.codes)) << name;
    writeUpstreamState(path, quantizer, order);
  }
  EXPECT_EQ(run("check"), 0);
}

TEST(UpstreamFiles, ReadsStatesThatAreNotPacked) {
  const std::string path = file("levels.pt");
  torch::nn::Linear model(24, 16), other(24, 16);
  DiffQuantizer quantizer(*model, options().group_size(8)), reader(*other, options().group_size(8));
  spreadBits(quantizer);
  writeUpstreamState(path, quantizer, PlaneOrder::Lines);
  auto state = read(path);
  c10::impl::GenericList entries(c10::AnyType::get());
  for (const char *name : {"weight", "bias"}) {
    const MixedLevels levels = unpackMixed(quantizer.packed(name));
    entries.push_back(
        c10::ivalue::Tuple::create({levels.levels, c10::ivalue::Tuple::create({levels.min, levels.max}), levels.bits}));
  }
  state.insert_or_assign("quantized", entries);
  state.at("meta").toGenericDict().insert_or_assign("packed", false);
  writePickle(path, state);
  readUpstreamState(path, reader);
  expectEqual(valuesOf(*other), roundedValues(quantizer, *model));
}

TEST(UpstreamFiles, SayWhatDoesNotFitAndChangeNothing) {
  const std::string path = file("other.pt");
  torch::nn::Sequential model = network();
  DiffQuantizer quantizer(*model, options());
  writeUpstreamState(path, quantizer, PlaneOrder::Strided);
  const std::vector<Tensor> before = valuesOf(*model);
  const auto refusal = [&](DiffQuantizer &reader) { return messageOf([&] { readUpstreamState(path, reader); }); };
  {
    torch::nn::Sequential smaller(torch::nn::Conv2d(3, 8, 3)), wider = network();
    wider->push_back(torch::nn::Linear(3, 3));
    DiffQuantizer first(*smaller, options()), second(*wider, options()), third(*network(), options().group_size(2));
    EXPECT_THAT(refusal(first), HasSubstr("other.pt: 'quantized' has 6 entries, this model has 2 such parameters"));
    EXPECT_THAT(refusal(second), HasSubstr("this model has 8 such parameters"));
    EXPECT_THAT(refusal(third), HasSubstr("has groups of 1, this quantizer has groups of 2"));
    torch::nn::Sequential turned(torch::nn::Linear(27, 100), torch::nn::BatchNorm2d(8), torch::nn::Linear(13, 7));
    DiffQuantizer fourth(*turned, options());
    EXPECT_THAT(refusal(fourth), HasSubstr("the entry of '0.weight' does not fit"));
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_THAT(refusal(quantizer), HasSubstr("other.pt: cannot be read as a state of DiffQ"));
  writePickle(path, c10::Dict<std::string, Tensor>());
  EXPECT_THAT(refusal(quantizer), HasSubstr("is no state of DiffQ: 'meta' is missing"));
  writePickle(path, c10::IValue("os.system"), {"os.system"});
  EXPECT_THAT(refusal(quantizer), HasSubstr("it refers to the class os.system"));
  EXPECT_THAT(messageOf([&] { readUpstreamState(file("missing.pt"), quantizer); }), HasSubstr("missing.pt: cannot"));
  expectEqual(valuesOf(*model), before);
}

TEST(UpstreamFiles, RefuseWhatUpstreamCannotHold) {
  const std::string path = file("refused.pt");
  const auto refusal = [&](const DiffQuantizerOptions &given) {
    torch::nn::Linear model(13, 7);
    DiffQuantizer quantizer(*model, given);
    spreadBits(quantizer);
    const std::string text = messageOf([&] { writeUpstreamState(path, quantizer, PlaneOrder::Lines); });
    EXPECT_FALSE(std::filesystem::exists(path));
    return text;
  };
  EXPECT_THAT(refusal(options().max_bits(15)), HasSubstr("'weight' has groups of 15 bits"));
  EXPECT_THAT(refusal(options().group_size(2)), HasSubstr("'weight' has 91 weights in groups of 2"));
  EXPECT_THAT(refusal(options().group_size(0)), HasSubstr("'weight' has 91 weights in groups of 0"));
  EXPECT_THAT(refusal(options().min_bits(2.5)), HasSubstr("min_bits is 2.5"));
}

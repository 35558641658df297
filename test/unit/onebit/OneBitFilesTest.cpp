// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers at one bit in files: what is written is read, what does not fit is refused.
#include "quantizers/onebit/OneBitFiles.h"
#include "quantizers/onebit/SignBits.h"
#include "test/unit/MessageOf.h"
#include "test/unit/onebit/Models.h"

#include <gmock/gmock.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <fstream>

using namespace bq;
using namespace bq::test;

using at::Tensor;
using testing::HasSubstr;

namespace {

constexpr const char *layerName = "model.layers.0.mlp.up";

/// A layer of 5 x 9, so that neither rows nor the matrix are whole bytes.
OneBitResult result(const OneBitOptions &options = {}) {
  at::manual_seed(1);
  const onebit::DecomposeOptions decomposition = options.decomposition();
  OneBitResult result =
      OneBitResult::fromDecomposition(onebit::decompose(at::randn({5, 9}), decomposition), decomposition);
  result.weightError = onebit::SquaredError{0.1, 0.2, 1.0 / 3};
  result.outputError = onebit::SquaredError{0, 0, std::nullopt};
  result.quantizationTime = 0.25;
  return result;
}

} // namespace

TEST(OneBitFiles, ResultsComeBack) {
  Folder folder;
  OneBitResult transposed = result();
  transposed.isTransposed = true;
  transposed.xtx = at::eye(9, at::kDouble);
  const OneBitResult unfolded = result(OneBitOptions().upstream_compatible(true));
  EXPECT_TRUE(unfolded.unfolded.defined());
  onebit::saveResults(folder.file("r"), {{"", result()}, {"x.y", transposed}, {"z", unfolded}});
  const onebit::OneBitResults read = onebit::loadResults(folder.file("r"));
  ASSERT_EQ(read.size(), 3u);
  EXPECT_TRUE(isSame(read.at(""), result()));
  EXPECT_TRUE(isSame(read.at("x.y"), transposed));
  EXPECT_TRUE(at::equal(read.at("x.y").xtx, transposed.xtx));
  EXPECT_TRUE(at::equal(read.at("z").dequantizedWeight(), unfolded.dequantizedWeight()));
  EXPECT_EQ(read.at("z").quantizationTime, 0.25);
  EXPECT_EQ(*read.at("z").weightError->relative, 1.0 / 3);
  EXPECT_FALSE(read.at("z").outputError->relative);
  EXPECT_THAT(messageOf([&] { read.at("z").pack(); }), HasSubstr("without upstream_compatible"));
}

TEST(OneBitFiles, SayWhatDoesNotFit) {
  Folder folder;
  const std::string path = folder.file("r");
  onebit::saveResults(path, {{"x", result()}});
  const SafeTensors good = readSafeTensors(path);
  auto refusal = [&](const std::function<void(SafeTensors &)> &change) {
    SafeTensors bad = good;
    change(bad);
    writeSafeTensors(path, bad);
    return messageOf([&] { onebit::loadResults(path); });
  };
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.metadata.clear(); }), HasSubstr("it is no file of OneBit results"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.metadata["version"] = "9"; }),
              HasSubstr("metadata 'version' is '9', this build of bq reads '1'"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.metadata["sign_order"] = "any"; }),
              HasSubstr("'sign_order' is 'any'"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.metadata["layers"] = "{\"x\": 3}"; }), HasSubstr("is damaged"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.tensors.erase("x.b"); }), HasSubstr("tensor 'x.b' is missing"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.tensors["more"] = at::ones({1}); }),
              HasSubstr("'more' belongs to no"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.tensors["x.a"] = at::ones({5}); }),
              HasSubstr("tensor 'x.a' is Float [5], expected Half with 1 dimensions"));
  EXPECT_THAT(refusal([](SafeTensors &bad) { bad.tensors["x.a"] = at::ones({6}, at::kHalf); }),
              HasSubstr("tensor 'x.sign' is [5, 2], expected [6, 2]"));
  std::ofstream(path) << "text";
  EXPECT_THAT(messageOf([&] { onebit::loadResults(path); }), HasSubstr(path + ": "));
}

TEST(OneBitFiles, UpstreamsDictionaryComesBack) {
  Folder folder;
  const OneBitResult original = result();
  const onebit::UpstreamLayers layers{{{layerName, original}}, {{layerName, at::ones({5})}}};
  for (const char *name : {"d.safetensors", "d.pt"}) {
    onebit::saveUpstream(folder.file(name), layers);
    const onebit::UpstreamLayers read = onebit::loadUpstream(folder.file(name));
    ASSERT_EQ(read.results.size(), 1u) << name;
    const OneBitResult &other = read.results.at(layerName);
    EXPECT_TRUE(at::equal(other.dequantizedWeight(), original.dequantizedWeight())) << name;
    EXPECT_TRUE(at::equal(read.biases.at(layerName), at::ones({5}))) << name;
  }
  const SafeTensors file = readSafeTensors(folder.file("d.safetensors"));
  const std::string prefix = layerName;
  // All 45 signs are one stream.
  Tensor signs = onebit::unpackSigns(file.tensors.at(prefix + ".sign_packed"), 5, 9);
  EXPECT_TRUE(at::equal(signs.to(at::kFloat), at::where(original.dequantizedWeight() >= 0, 1.0f, -1.0f)));
  EXPECT_EQ(file.tensors.at(prefix + ".out_features").item<int64_t>(), 5);
  EXPECT_EQ(file.tensors.at(prefix + ".in_features").item<int64_t>(), 9);
}

TEST(OneBitFiles, UpstreamsDictionaryIsChecked) {
  Folder folder;
  const std::string path = folder.file("d.safetensors");
  EXPECT_THAT(messageOf([&] { onebit::saveUpstream(path, {{{"encoder.up", result()}}, {}}); }),
              HasSubstr("model.layers.<i>.<path>"));
  EXPECT_THAT(messageOf([&] {
                onebit::saveUpstream(path, {{{layerName, result(OneBitOptions().upstream_compatible(true))}}, {}});
              }),
              HasSubstr("lack its factors"));
  EXPECT_FALSE(std::filesystem::exists(path));
  onebit::saveUpstream(path, {{{layerName, result()}}, {}});
  const SafeTensors good = readSafeTensors(path);
  const std::string prefix = layerName;
  auto refusal = [&](const std::function<void(SafeTensors &)> &change) {
    SafeTensors bad = good;
    change(bad);
    writeSafeTensors(path, bad);
    return messageOf([&] { onebit::loadUpstream(path); });
  };
  EXPECT_THAT(refusal([&](SafeTensors &bad) { bad.tensors.erase(prefix + ".a"); }), HasSubstr(".a' is missing"));
  EXPECT_THAT(refusal([&](SafeTensors &bad) { bad.tensors[prefix + ".in_features"] = at::ones({}, at::kLong); }),
              HasSubstr(".in_features' is not 9"));
  EXPECT_THAT(refusal([&](SafeTensors &bad) { bad.tensors[prefix + ".sign_packed"] = at::zeros({5}, at::kByte); }),
              HasSubstr("5 x 9 signs are Byte [6]"));
  EXPECT_THAT(refusal([&](SafeTensors &bad) { bad.tensors.erase(prefix + ".sign_packed"); }),
              HasSubstr("it is no dictionary of OneBit layers"));
  const std::vector<char> list = torch::jit::pickle_save(c10::List<int64_t>({1, 2}));
  std::ofstream(folder.file("list.pt"), std::ios::binary).write(list.data(), static_cast<std::streamsize>(list.size()));
  EXPECT_THAT(messageOf([&] { onebit::loadUpstream(folder.file("list.pt")); }), HasSubstr("expected a dictionary"));
}

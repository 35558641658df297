// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The torch::nn modules: same results as the dequantized weight, saved and loaded as canonical tensors.
#include "quantizers/Modules.h"

#include "test/unit/MessageOf.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/serialize.h>

#include <sstream>
#include <thread>

using namespace bq::nn;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

/// Sums of 24 terms in another order: 30 roundings of magnitudes below 1e2.
constexpr double sumTolerance = 30 * 6e-8 * 1e2;

} // namespace

TEST(QuantizedLinear, ComputesWithTheDecodedWeight) {
  for (const char *format : {"int4:g16", "uint3:g8", "nf4", "sign"}) {
    torch::nn::Linear plain(24, 9);
    QuantizedLinear layer(QuantizedLinearImpl::fromFloat(plain, format, "f32", "gelu"));
    at::Tensor x = at::randn({5, 24});
    at::Tensor expected = at::gelu(at::linear(x, layer->dequantize(), plain->bias));
    EXPECT_TRUE(at::allclose(layer(x), expected, 0, sumTolerance)) << format;
  }
}

TEST(QuantizedLinear, TrainsItsBiasAndItsInput) {
  torch::nn::Linear plain(24, 9);
  QuantizedLinear layer(QuantizedLinearImpl::fromFloat(plain, "int4:g16"));
  at::Tensor x = at::randn({5, 24}).requires_grad_();
  layer(x).sum().backward();
  EXPECT_TRUE(at::allclose(layer->bias.grad(), at::full({9}, 5.0)));
  EXPECT_TRUE(at::allclose(x.grad(), layer->dequantize().sum(0).expand({5, 24}), 0, sumTolerance));
  EXPECT_EQ(layer->parameters().size(), 1u);
}

TEST(QuantizedLinear, WithoutBias) {
  torch::nn::Linear plain(torch::nn::LinearOptions(24, 9).bias(false));
  QuantizedLinear layer(QuantizedLinearImpl::fromFloat(plain, "int8"));
  at::Tensor x = at::randn({5, 24});
  EXPECT_TRUE(at::allclose(layer(x), at::linear(x, layer->dequantize()), 0, sumTolerance));
}

TEST(QuantizedLinear, SavesAndLoadsAlsoAfterARun) {
  QuantizedLinear layer(QuantizedLinearImpl::fromFloat(torch::nn::Linear(24, 9), "uint4:g16"));
  std::ostringstream before, after;
  torch::save(layer, before);
  at::Tensor x = at::randn({5, 24}), y = layer(x);
  torch::save(layer, after);
  EXPECT_TRUE(before.str() == after.str());

  QuantizedLinear other(QuantizedLinearOptions(24, 9, "uint4:g16"));
  EXPECT_TRUE(at::equal(other(x), at::zeros({5, 9}))) << "a fresh module's weight is zero";
  std::istringstream stream(after.str());
  torch::load(other, stream);
  EXPECT_TRUE(at::equal(other(x), y)) << "the load must be noticed after a run";
}

TEST(QuantizedLinear, ChangesTheTypeOfAllButItsCodesAndZeroPoints) {
  for (const char *format : {"uint4:g16", "sign"}) {
    QuantizedLinear layer(QuantizedLinearImpl::fromFloat(torch::nn::Linear(24, 9), format));
    torch::nn::Sequential model(layer);
    at::Tensor codes = layer->codes.clone(), zeros = layer->zeros.defined() ? layer->zeros.clone() : at::Tensor();
    at::Tensor x = at::randn({5, 24});
    for (at::ScalarType type : {at::kBFloat16, at::kHalf}) {
      if (type == at::kHalf)
        model->to(type);
      else
        model->to(at::kCPU, type);
      EXPECT_EQ(model->forward(x.to(type)).scalar_type(), type) << format;
      EXPECT_EQ(layer->scales.scalar_type(), type);
      EXPECT_EQ(layer->bias.scalar_type(), type);
      EXPECT_TRUE(at::equal(layer->codes, codes));
      EXPECT_TRUE(!zeros.defined() || at::equal(layer->zeros, zeros));
      EXPECT_TRUE(layer->codes.is_same(layer->named_buffers()["codes"]));
    }
    model->to(at::kCPU);
    EXPECT_EQ(layer->scales.scalar_type(), at::kHalf);
  }
}

TEST(QuantizedLinear, ClonesAndPrints) {
  torch::nn::Sequential model(QuantizedLinear(QuantizedLinearImpl::fromFloat(torch::nn::Linear(24, 9), "int4:g16")));
  auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
  at::Tensor x = at::randn({2, 24});
  EXPECT_TRUE(at::equal(copy->forward(x), model->forward(x)));
  std::ostringstream text;
  text << model;
  EXPECT_THAT(text.str(),
              HasSubstr("bq::nn::QuantizedLinear(in_features=24, out_features=9, format=int4:g16, bias=true, "
                        "compute=f32, activation=none)"));
}

TEST(QuantizedLinear, RefusesUnknownOptions) {
  EXPECT_THAT(messageOf([] { QuantizedLinear(QuantizedLinearOptions(4, 4, "int12")); }),
              HasSubstr("'int12' has 12 bits"));
  EXPECT_THAT(messageOf([] { QuantizedLinear(QuantizedLinearOptions(4, 4, "int4").compute("f64")); }),
              HasSubstr("compute 'f64' is not known"));
  EXPECT_THAT(messageOf([] { QuantizedLinear(QuantizedLinearOptions(-4, 4, "int4")); }),
              HasSubstr("sizes cannot be negative, got [4, -4]"));
  EXPECT_THAT(messageOf([] { QuantizedLinear(QuantizedLinearOptions(4, 4, "lut2")); }),
              HasSubstr("lut2 is not supported"));
}

TEST(QuantizedLinear, ThreadsShareOneWeight) {
  QuantizedLinear layer(QuantizedLinearImpl::fromFloat(torch::nn::Linear(24, 9), "int4:g16"));
  at::Tensor x = at::randn({5, 24}), expected;
  {
    at::NoGradGuard noGrad;
    expected = layer(x).clone();
  }
  QuantizedLinear fresh(std::dynamic_pointer_cast<QuantizedLinearImpl>(layer->clone()));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      at::NoGradGuard noGrad;
      for (int j = 0; j < 20; ++j)
        wrong += !at::equal(fresh(x), expected);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(QuantizedEmbedding, LooksUpDecodedRows) {
  torch::nn::Embedding plain(11, 24);
  for (const char *format : {"int8", "uint4:g16", "sign"}) {
    QuantizedEmbedding layer(QuantizedEmbeddingImpl::fromFloat(plain, format));
    at::Tensor indices = at::tensor({0, 10, 3, 3}, at::kLong).view({2, 2});
    EXPECT_TRUE(at::equal(layer(indices), at::embedding(layer->dequantize(), indices))) << format;
    EXPECT_THAT(messageOf([&] { layer(at::tensor({11}, at::kLong)); }), HasSubstr("11"));
  }
}

TEST(QuantizedEmbedding, ChangesTheTypeOfAllButItsCodesAndZeroPoints) {
  QuantizedEmbedding layer(QuantizedEmbeddingImpl::fromFloat(torch::nn::Embedding(11, 24), "uint4:g16"));
  layer->to(at::kHalf);
  EXPECT_EQ(layer->codes.scalar_type(), at::kByte);
  EXPECT_EQ(layer->zeros.scalar_type(), at::kByte);
  at::Tensor indices = at::tensor({0, 10, 3}, at::kLong);
  EXPECT_TRUE(at::equal(layer(indices), at::embedding(layer->dequantize(), indices)));
  EXPECT_EQ(layer(indices).scalar_type(), at::kHalf);
}

TEST(QuantizedEmbedding, SavesAndLoads) {
  QuantizedEmbedding layer(QuantizedEmbeddingImpl::fromFloat(torch::nn::Embedding(11, 24), "int8"));
  std::stringstream stream;
  torch::save(layer, stream);
  QuantizedEmbedding other(QuantizedEmbeddingOptions(11, 24, "int8"));
  torch::load(other, stream);
  EXPECT_TRUE(at::equal(other->dequantize(), layer->dequantize()));
  std::ostringstream text;
  text << *other;
  EXPECT_EQ(text.str(), "bq::nn::QuantizedEmbedding(num_embeddings=11, embedding_dim=24, format=int8)");
}

TEST(QuantizedEmbedding, RefusesMaxNorm) {
  torch::nn::Embedding plain(torch::nn::EmbeddingOptions(4, 4).max_norm(1.0));
  EXPECT_THAT(messageOf([&] { QuantizedEmbeddingImpl::fromFloat(plain, "int8"); }), HasSubstr("max_norm"));
}

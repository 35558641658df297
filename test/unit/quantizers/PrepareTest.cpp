// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels made ahead, and what a packed weight keeps for each device.
#include "quantizers/Prepare.h"
#include "quantizers/Statistics.h"
#include "quantizers/Tensors.h"
#include "quantizers/nbit/Parameters.h"

#include <gtest/gtest.h>

using namespace bq;

namespace {

/// Searches of the cache that did not find a kernel in memory.
int64_t misses() {
  const CacheStats stats = kernelStatistics();
  return stats.compiles + stats.diskHits;
}

} // namespace

TEST(Prepare, WhatIsPreparedIsThere) {
  const auto weight = PackedWeight::quantize(at::randn({24, 40}), *Format::parse("int4:g8"));
  PrepareOptions options;
  options.compute = Compute::I8;
  options.activation = Activation::Gelu;
  options.bias = true;
  prepare(*weight, {1, 20}, options);
  const int64_t before = misses();
  EXPECT_GE(before, 2);
  EXPECT_GT(weight->residentBytes(), weight->bytes());
  for (int64_t m : {1, 20, 33})
    weight->linear(at::randn({m, 40}), at::randn({24}), Compute::I8, Activation::Gelu);
  EXPECT_EQ(misses(), before);
  weight->linear(at::randn({2, 40}), std::nullopt, Compute::I8);
  EXPECT_EQ(misses(), before + 1);
}

TEST(Prepare, TakesALayer) {
  nn::QuantizedLinear layer(nn::QuantizedLinearOptions(40, 24, "uint4:g8").compute("bf16").activation("relu"));
  prepare(layer, {1, 4});
  const int64_t before = misses();
  layer->forward(at::randn({1, 40}));
  layer->forward(at::randn({4, 40}));
  EXPECT_EQ(misses(), before);
}

TEST(Prepare, ATrainingStepFindsAllOfItsKernels) {
  const at::Tensor x = at::randn({4, 40}).requires_grad_();
  const auto weight = PackedWeight::quantize(at::randn({24, 40}), *Format::parse("int5:g8"));
  PrepareOptions options;
  options.activation = Activation::Silu;
  auto step = [&] { weight->linear(x, std::nullopt, Compute::F32, Activation::Silu).sum().backward(); };
  options.inputGradient = true;
  prepare(*weight, {4}, options);
  int64_t before = misses();
  EXPECT_GE(before, 3) << "the product with the activation and without, and the gradient";
  step();
  EXPECT_EQ(misses(), before);

  nn::QuantizedLinear layer(nn::QuantizedLinearOptions(40, 24, "uint6:g8").activation("gelu"));
  prepare(layer, {4});
  before = misses();
  layer->forward(x).sum().backward();
  EXPECT_EQ(misses(), before);

  for (bool upstream : {false, true}) {
    nn::MPQLinear packed(nn::MPQLinearOptions(64, 32).group_size(32).upstream_compatible(upstream));
    prepare(packed, {4});
    EXPECT_FALSE(nn::QuantizedParameter(packed->weight).grad().defined());
    before = misses();
    packed->forward(at::randn({4, 64}).requires_grad_()).sum().backward();
    EXPECT_EQ(misses(), before);
    EXPECT_TRUE(nn::QuantizedParameter(packed->weight).grad().defined());
  }

  nn::QuantizedConv2d conv(nn::QuantizedConv2dOptions(16, 24, 3, "uint4:g16").compute("i8").activation("relu"));
  prepare(conv, {2, 16, 8, 9});
  before = misses();
  conv->forward(at::randn({2, 16, 8, 9}).requires_grad_()).sum().backward();
  EXPECT_EQ(misses(), before);
}

TEST(Prepare, AnEvaluationNeedsNoGradient) {
  nn::QuantizedLinear layer(nn::QuantizedLinearOptions(40, 24, "uint7:g8"));
  layer->eval();
  prepare(layer, {4});
  {
    layer->train();
    const at::NoGradGuard noGrad;
    prepare(layer, {4});
  }
  const int64_t before = misses();
  EXPECT_FALSE(layer->bias.grad().defined());
  layer->forward(at::randn({4, 40}).requires_grad_()).sum().backward();
  EXPECT_EQ(misses(), before + 1);
}

TEST(Prepare, RefusesNoRows) {
  const auto weight = PackedWeight::quantize(at::randn({24, 40}), *Format::parse("int4:g8"));
  try {
    prepare(*weight, {1, 0});
    ADD_FAILURE() << "accepted";
  } catch (const c10::Error &error) {
    EXPECT_STREQ(error.what_without_backtrace(), "bq::prepare: expected positive numbers of rows, got 0");
  }
}

TEST(PackedWeight, KeepsACopyForEachDevice) {
  const auto weight = PackedWeight::quantize(at::randn({24, 40}), *Format::parse("int4:g8"));
  EXPECT_TRUE(weight->canonical(at::kCPU).codes.is_same(weight->codes()));
  const at::Tensor codes = weight->canonical(at::kMeta).codes;
  EXPECT_TRUE(codes.is_meta());
  EXPECT_TRUE(weight->canonical(at::kMeta).codes.is_same(codes));
  EXPECT_EQ(weight->residentBytes(), 2 * weight->bytes());
  weight->codes().zero_();
  EXPECT_FALSE(weight->canonical(at::kMeta).codes.is_same(codes)) << "the tensors have changed";
  EXPECT_EQ(weight->residentBytes(), 2 * weight->bytes());
}

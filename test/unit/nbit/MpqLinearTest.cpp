// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// MPQLinear: checkpoints in and out, products and gradients, and training on nothing but the packed weight.
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/Quantize.h"
#include "quantizers/nbit/Packing.h"
#include "quantizers/optim/DiodeMix.h"
#include "test/unit/MessageOf.h"
#include "test/unit/nbit/Support.h"

#include <c10/core/Allocator.h>
#include <gmock/gmock.h>
#include <torch/nn/functional/loss.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <sstream>

using namespace bq;
using namespace bq::nn;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

constexpr int64_t in = 48, out = 32;

GptqWeight checkpoint(int64_t bits, int64_t groupSize, bool asym, bool shuffled) {
  const int64_t groups = in / groupSize;
  GptqWeight weight;
  weight.bits = bits;
  weight.inFeatures = in;
  weight.words = packWords(at::randint(0, 1 << bits, {in, out}, at::kInt), bits, 0);
  weight.scales = at::rand({groups, out}) * 0.1 + 0.01;
  weight.zeroConvention = asym ? ZeroConvention::StoredMinusOne : ZeroConvention::Scaled;
  weight.zeros = asym ? packGptqZeros(at::randint(1, 1 << bits, {groups, out}, at::kInt).clamp_min(1), bits)
                      : at::rand({groups, out}) * 0.1;
  at::Tensor group = at::div(at::arange(in, at::kInt), groupSize, "floor");
  weight.groupIndex = shuffled ? group.index_select(0, at::randperm(in)) : group;
  return weight;
}

/// Sums of 48 products below 1: 50 roundings of their magnitudes.
constexpr double sumTolerance = 50 * 6e-8 * 48 * 4;

/// Counts what tensors take while it lives, on this thread.
class Allocations {
public:
  Allocations() : counter(std::make_shared<Counter>()), guard(c10::DebugInfoKind::PROFILER_STATE, counter) {}
  int64_t largest() const { return counter->largest; }
  int64_t countOf(int64_t bytes) const { return std::count(counter->sizes.begin(), counter->sizes.end(), bytes); }

private:
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void *, int64_t size, size_t, size_t, c10::Device) override {
      largest = std::max(largest, size);
      sizes.push_back(size);
    }
    bool memoryProfilingEnabled() const override { return true; }
    int64_t largest = 0;
    std::vector<int64_t> sizes;
  };
  std::shared_ptr<Counter> counter;
  c10::DebugInfoGuard guard;
};

} // namespace

TEST(MpqLinear, ComputesWithTheCheckpointsWeight) {
  torch::manual_seed(1);
  for (int64_t bits : {1, 2, 3, 4, 8})
    for (bool asym : {false, true})
      for (bool shuffled : {false, true})
        for (bool upstream : {false, true}) {
          GptqWeight weight = checkpoint(bits, 16, asym, shuffled);
          MPQLinear layer(
              MPQLinearOptions(in, out).w_bits(bits).group_size(16).asym(asym).bias(true).upstream_compatible(
                  upstream));
          layer->setGptqWeight(weight);
          at::Tensor w = unpackGptq(weight), gradient = at::randn({3, 5, out});
          at::Tensor x = at::randn({3, 5, in}).requires_grad_(true), y = layer(x);
          EXPECT_TRUE(at::allclose(y, at::matmul(x, w) + layer->bias, 0, sumTolerance));
          y.backward(gradient);
          EXPECT_TRUE(at::allclose(x.grad(), at::matmul(gradient, w.t()), 0, sumTolerance));
          at::Tensor expected = x.detach().view({15, in}).t().matmul(gradient.view({15, out}));
          if (!upstream) {
            expected = expected.t();
            if (layer->columnOrder.numel())
              expected = expected.index_select(1, layer->columnOrder);
          }
          EXPECT_TRUE(at::allclose(layer->weight.grad(), expected, 0, sumTolerance)) << bits << asym << shuffled;
          EXPECT_TRUE(layer->gptqWeight().words.equal(weight.words));
          EXPECT_TRUE(at::allclose(unpackGptq(layer->gptqWeight()), w, 1e-6, 1e-6));
        }
}

TEST(MpqLinear, ItsOutputMayBeChangedInPlace) {
  torch::manual_seed(7);
  for (bool needsX : {false, true}) {
    MPQLinear layer(MPQLinearOptions(in, out).group_size(16).bias(true));
    at::Tensor x = at::randn({5, in}).requires_grad_(needsX);
    at::Tensor y = layer(x).relu_();
    y.sum().backward();
    at::Tensor expected = y.detach().gt(0).to(at::kFloat).t().matmul(x.detach());
    EXPECT_TRUE(at::allclose(layer->weight.grad(), expected, 0, sumTolerance));
    EXPECT_EQ(x.grad().defined(), needsX);
  }
}

TEST(MpqLinear, TakesShapesThatFillNoWord) {
  torch::manual_seed(2);
  MPQLinear layer(MPQLinearOptions(45, 7).w_bits(3).group_size(16));
  at::Tensor x = at::randn({4, 45});
  at::Tensor w = layer->optWeight();
  EXPECT_EQ(w.sizes(), at::IntArrayRef({7, 45}));
  EXPECT_TRUE(at::allclose(layer(x), x.matmul(w.t()), 0, sumTolerance));
}

TEST(MpqLinear, DecodesDoubleQuantizedScales) {
  torch::manual_seed(3);
  GptqWeight weight = checkpoint(4, 16, /*asym=*/false, /*shuffled=*/false);
  GbaStatistics statistics;
  statistics.statistic = at::randint(0, 256, {3, 1, out}, at::kByte);
  statistics.scaleZeros = at::full({3, 1, 1}, -3.0);
  statistics.scaleScales = at::full({3, 1, 1}, 0.01);
  statistics.zeroZeros = at::full({3, 1, 1}, 2.0);
  statistics.zeroScales = at::full({3, 1, 1}, 0.02);
  MPQLinear layer(MPQLinearOptions(in, out).group_size(16));
  layer->setGptqWeight(weight, statistics);
  std::tie(weight.scales, weight.zeros) = decodeGba(statistics);
  EXPECT_TRUE(at::allclose(layer->optWeight(), unpackGptq(weight).t(), 1e-6, 1e-6));
}

TEST(MpqLinear, RefusesOtherCheckpointsAndStaysAsItWas) {
  torch::manual_seed(4);
  MPQLinear layer(MPQLinearOptions(in, out).group_size(16));
  at::Tensor before = layer->optWeight();
  auto set = [&](const GptqWeight &weight) { return messageOf([&] { layer->setGptqWeight(weight); }); };
  EXPECT_THAT(set(checkpoint(2, 16, false, false)), HasSubstr("expected 4 bits, 48 inputs, 32 outputs and 3 groups"));
  EXPECT_THAT(set(checkpoint(4, 24, false, false)), HasSubstr("the checkpoint has 4, 48, 32 and 2"));
  EXPECT_THAT(set(checkpoint(4, 16, true, false)), HasSubstr("asym must be true"));
  GptqWeight uneven = checkpoint(4, 16, false, false);
  uneven.groupIndex[0] = 1;
  EXPECT_THAT(set(uneven), HasSubstr("groups of different numbers of inputs"));
  GptqWeight flat = checkpoint(4, 16, false, false);
  flat.scales[1][2] = 0;
  EXPECT_THAT(set(flat), HasSubstr("a scale of the checkpoint is 0"));
  EXPECT_TRUE(layer->optWeight().equal(before));
}

TEST(MpqLinear, SavesAndLoadsTheOrderOfItsColumns) {
  torch::manual_seed(5);
  MPQLinear layer(MPQLinearOptions(in, out).group_size(16)), other(MPQLinearOptions(in, out).group_size(16));
  layer->setGptqWeight(checkpoint(4, 16, false, true));
  std::stringstream stream;
  torch::save(layer, stream);
  torch::load(other, stream);
  at::Tensor x = at::randn({3, in});
  EXPECT_TRUE(other(x).equal(layer(x)));
  MPQLinear small(MPQLinearOptions(in, 8).group_size(16));
  stream.clear();
  stream.seekg(0);
  EXPECT_THAT(messageOf([&] { torch::load(small, stream); }), HasSubstr("the archive holds"));
}

TEST(MpqLinear, HoldsAndAllocatesNoFloatCopyOfItsWeight) {
  constexpr int64_t k = 512, n = 256;
  MPQLinear layer(MPQLinearOptions(k, n).w_bits(2).group_size(32));
  int64_t bytes = 0;
  for (const at::Tensor &tensor : layer->parameters())
    bytes += static_cast<int64_t>(tensor.nbytes());
  for (const at::Tensor &tensor : layer->buffers())
    bytes += static_cast<int64_t>(tensor.nbytes());
  // Two bits a weight, and for each 32 of them a scale and a zero point of 4 bytes.
  EXPECT_EQ(bytes, n * k * 2 / 8 + n * k / 32 * 8);
  at::Tensor x = at::randn({8, k}).requires_grad_(true), y;
  {
    Allocations forward;
    y = layer(x);
    EXPECT_LT(forward.largest(), n * k) << "less than a byte for each weight";
  }
  Allocations backward;
  y.sum().backward();
  EXPECT_LE(backward.largest(), n * k * 4) << "nothing is larger than the gradient";
  EXPECT_EQ(backward.countOf(n * k * 4), 1) << "which is made once";
}

namespace {

struct Task {
  at::Tensor x = at::randn({256, 64}), target = x.matmul(at::randn({64, 32}) / 8);
  at::Tensor loss(const at::Tensor &y) const { return torch::nn::functional::mse_loss(y, target); }
};

double trainPacked(const Task &task, const at::Tensor &start, const optim::DiodeMixOptions &options, int steps) {
  MPQLinear layer(MPQLinearOptions(64, 32).w_bits(2).group_size(16));
  layer->setWeightData(start);
  optim::DiodeMix optimizer({layer->weight}, options);
  double tail = 0;
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    at::Tensor loss = task.loss(layer(task.x));
    loss.backward();
    optimizer.step();
    tail += step >= steps - 50 ? loss.item<double>() / 50 : 0;
  }
  return tail;
}

/// The same with floats that are quantized at each step, and whose gradient is that of the quantized weight.
double trainFloatCopy(const Task &task, const at::Tensor &start, const optim::DiodeMixOptions &options, int steps) {
  at::Tensor weight = start.clone().requires_grad_(true);
  optim::DiodeMix optimizer({weight}, options);
  const Format format = *Format::parse("uint2:g16");
  double tail = 0;
  for (int step = 0; step < steps; ++step) {
    auto [codes, scales, zeros] = quantize(weight, format);
    at::Tensor quantized = dequantize(codes, scales, zeros, format, {32, 64}).requires_grad_(true);
    at::Tensor loss = task.loss(task.x.matmul(quantized.t()));
    loss.backward();
    weight.mutable_grad() = quantized.grad();
    optimizer.step();
    tail += step >= steps - 50 ? loss.item<double>() / 50 : 0;
  }
  return tail;
}

} // namespace

TEST(MpqLinear, TwoBitsTrainAsWellAsAFloatCopy) {
  bq::test::OneThread oneThread;
  torch::manual_seed(6);
  Task task;
  at::Tensor start = at::randn({32, 64}) / 8;
  auto options = optim::DiodeMixOptions(1e-3).betas({0.9, 0.99});
  double first = trainPacked(task, start, options, 50);
  double packed = trainPacked(task, start, options, 600), copy = trainFloatCopy(task, start, options, 600);
  EXPECT_LT(packed, 0.5 * first);
  EXPECT_LE(packed, 1.1 * copy);
}

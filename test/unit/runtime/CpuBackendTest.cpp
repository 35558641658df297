// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the CPU backend calls kernels, with kernels whose results are easy to foretell (TestKernels.cpp).
#include "runtime/cpu/CpuBackend.h"
#include "Support.h"
#include "dialect/core/Layout.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace bq;
using namespace bq::test;

namespace {

constexpr int64_t n = testRows, k = testColumns;

struct CpuBackendTest : testing::Test {
  CpuBackendTest() {
    Options options;
    options.cacheMode = Options::CacheMode::Off;
    cache = std::make_unique<KernelCache>(options, compiler.library);
    backend = std::move(*createCpuBackend(CpuTarget::host(), *cache));
    std::iota(codes.begin(), codes.end(), uint8_t{0});
    std::iota(scales.begin(), scales.end(), 1.0f);
    weight.format = *Format::parse("int8:g2");
    weight.n = n;
    weight.k = k;
    weight.codes = codes.data();
    weight.scales = scales.data();
  }

  std::shared_ptr<const PrepackedWeight> prepack() {
    auto packed = backend->prepack(weight, serialFor);
    EXPECT_TRUE(packed);
    return *packed;
  }

  FakeCompiler compiler;
  std::unique_ptr<KernelCache> cache;
  std::unique_ptr<Backend> backend;
  std::vector<uint8_t> codes = std::vector<uint8_t>(n * k);
  std::vector<float> scales = std::vector<float>(n * 3);
  CanonicalWeight weight;
};

/// x[m, k] with rows `stride` apart and y[m, n] likewise, filled with -1.
struct Call {
  Call(int64_t m, int64_t xStride = k, int64_t yStride = n) : x(m * xStride), y(m * yStride, -1) {
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i % 97);
    args.x = x.data();
    args.y = y.data();
    args.m = m;
    args.xStride = xStride;
    args.yStride = yStride;
  }

  /// Checks y, and that nothing between its rows was written.
  void expectResult(const std::vector<int32_t> &columns = {}) const {
    for (int64_t row = 0; row < args.m; ++row) {
      float sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += x[row * args.xStride + (columns.empty() ? i : columns[i])] * static_cast<float>(i + 1);
      for (int64_t column = 0; column < args.yStride; ++column) {
        float bias = args.bias && column < n ? args.bias[column] : 0;
        ASSERT_EQ(y[row * args.yStride + column],
                  column < n ? sum + 1000.0f * static_cast<float>(column) + bias : -1.0f)
            << "row " << row << " column " << column;
      }
    }
  }

  std::vector<float> x, y;
  LinearArgs args;
};

} // namespace

TEST_F(CpuBackendTest, LinearOfEveryNumberOfRows) {
  auto packed = prepack();
  for (int64_t m : {1, 2, 7, 8, 9, 100, 4096, 4097, 9000})
    for (ParallelFor parallel : {serialFor, threadedFor}) {
      Call call(m);
      ASSERT_TRUE(backend->linear(*packed, call.args, parallel)) << m;
      call.expectResult();
    }
}

TEST_F(CpuBackendTest, LinearObeysStridesAndBias) {
  auto packed = prepack();
  std::vector<float> bias(n);
  std::iota(bias.begin(), bias.end(), 0.5f);
  for (int64_t m : {1, 5, 5000}) {
    Call call(m, k + 3, n + 2);
    call.args.bias = bias.data();
    ASSERT_TRUE(backend->linear(*packed, call.args, threadedFor));
    call.expectResult();
  }
}

TEST_F(CpuBackendTest, LinearGathersPermutedColumns) {
  const std::vector<int32_t> groups{1, 0, 2, 2, 0, 1};
  weight.groupIndex = groups.data();
  Call call(3);
  ASSERT_TRUE(backend->linear(*prepack(), call.args, serialFor));
  call.expectResult({1, 4, 0, 5, 2, 3});
}

TEST_F(CpuBackendTest, LinearOfNothingIsServedWithoutAKernel) {
  Call nothing(0);
  EXPECT_TRUE(backend->linear(*prepack(), nothing.args, serialFor));
  LinearArgs null;
  EXPECT_TRUE(backend->linear(*prepack(), null, serialFor));
  weight.n = 0;
  Call call(3);
  EXPECT_TRUE(backend->linear(*prepack(), call.args, serialFor));
  EXPECT_EQ(fakeState.compiles, 0);
}

TEST_F(CpuBackendTest, EachNumberOfRowsUpToEightHasItsKernelAndIsSearchedOnce) {
  auto packed = prepack();
  for (int round = 0; round < 3; ++round)
    for (int64_t m = 1; m <= 20; ++m) {
      Call call(m);
      ASSERT_TRUE(backend->linear(*packed, call.args, serialFor));
    }
  EXPECT_EQ(fakeState.compiles, bq::abi::maxExactRows + 1);
  EXPECT_EQ(cache->stats().memoryHits, 0);
}

TEST_F(CpuBackendTest, SmallLayersStayOnTheCallingThread) {
  auto packed = prepack();
  Call call(4);
  auto refuse = [](int64_t, int64_t, int64_t, const std::function<void(int64_t, int64_t)> &) { FAIL(); };
  ASSERT_TRUE(backend->linear(*packed, call.args, refuse));
  call.expectResult();
}

TEST_F(CpuBackendTest, LinearNamesWhatDoesNotFit) {
  auto packed = prepack();
  auto refusal = [&](auto change) {
    Call call(2);
    change(call.args);
    Status status = backend->linear(*packed, call.args, serialFor);
    EXPECT_EQ(std::count(call.y.begin(), call.y.end(), -1), 2 * n);
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(refusal([](LinearArgs &a) { a.m = -1; }), "m is -1: x has 0 rows or more");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.x = nullptr; }), "x is null: m is 2");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.y = nullptr; }), "y is null: m is 2");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.xStride = 5; }),
            "xStride is 5: rows of 6 elements are at least that far apart");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.yStride = 36; }),
            "yStride is 36: rows of 37 elements are at least that far apart");
  static const float scale = 1;
  EXPECT_EQ(refusal([](LinearArgs &a) { a.activationBits = 9; }),
            "activationBits is 9: use 0 for activations as they come, or 1 to 8");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.activationBits = 4, a.activationScale = &scale; }),
            "activationBits is 4: activations with one scale need compute i8, not f32");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.activationBits = 4, a.compute = Compute::I8; }),
            "activationScale is null: activationBits is 4");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.activationScale = &scale; }),
            "activationScale is given: activationBits is 0");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.isGradient = true, a.activation = Activation::Relu; }),
            "isGradient is true: a gradient has no geometry, bias and activation");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.isGradient = true, a.compute = Compute::I8; }),
            "compute is i8: gradients are summed in f32 or bf16");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.isGradient = true, a.xStride = 36; }),
            "xStride is 36: rows of 37 elements are at least that far apart");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.isGradient = true, a.xStride = 37, a.yStride = 5; }),
            "yStride is 5: rows of 6 elements are at least that far apart");
  EXPECT_EQ(refusal([](LinearArgs &a) { a.isGradient = true, a.xStride = 37; }),
            "kernels for CPUs take gradients as products with the weight transposed and prepacked so");
  static bq::abi::Conv2dGeometry geometry;
  geometry.batch = 3;
  geometry.outHeight = geometry.outWidth = 1;
  EXPECT_EQ(refusal([](LinearArgs &a) { a.geometry = &geometry; }), "m is 2: the geometry has 3 output pixels");
}

TEST_F(CpuBackendTest, WeightsOfAnotherBackendAreRefused) {
  auto foreign = referenceBackend().prepack(weight, serialFor);
  ASSERT_TRUE(foreign);
  Call call(1);
  Status status = backend->linear(**foreign, call.args, serialFor);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
}

TEST_F(CpuBackendTest, AKernelForAnotherLayoutIsADefect) {
  fakeState.layout = "upside down";
  Call call(1);
  Status status = backend->linear(*prepack(), call.args, serialFor);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::Internal);
  std::string layout = Layout::get(weight.format, n, k, CpuTarget::host()).str();
  EXPECT_NE(status.error().message.find("'upside down'"), std::string::npos);
  EXPECT_NE(status.error().message.find("'" + layout + "'"), std::string::npos);
}

TEST_F(CpuBackendTest, DequantizeWithAndWithoutGroupIndex) {
  const std::vector<int32_t> groups{1, 0, 2, 2, 0, 1};
  for (const int32_t *groupIndex : {static_cast<const int32_t *>(nullptr), groups.data()})
    for (ParallelFor parallel : {serialFor, threadedFor}) {
      weight.groupIndex = groupIndex;
      std::vector<float> y(n * k);
      ASSERT_TRUE(backend->dequantize(weight, y.data(), parallel));
      for (int64_t row = 0; row < n; ++row)
        for (int64_t column = 0; column < k; ++column)
          ASSERT_EQ(y[row * k + column], scales[row * 3 + (groupIndex ? groups[column] : column / 2)] *
                                             static_cast<float>(static_cast<int8_t>(codes[row * k + column])));
    }
}

TEST_F(CpuBackendTest, EmbeddingTakesRowsOfTheWeight) {
  std::vector<float> all(n * k);
  const std::vector<int32_t> groups{1, 0, 2, 2, 0, 1};
  for (const int32_t *groupIndex : {static_cast<const int32_t *>(nullptr), groups.data()}) {
    weight.groupIndex = groupIndex;
    ASSERT_TRUE(backend->dequantize(weight, all.data(), serialFor));
    std::vector<int64_t> indices{36, 0, 17, 17};
    std::vector<float> y(indices.size() * k);
    ASSERT_TRUE(backend->embedding(weight, indices.data(), 4, y.data(), threadedFor));
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y[i], all[indices[i / k] * k + i % k]);
  }
  EXPECT_TRUE(backend->embedding(weight, nullptr, 0, nullptr, serialFor));
}

TEST_F(CpuBackendTest, EmbeddingChecksEveryIndexFirst) {
  std::vector<float> y(2 * k, -1);
  for (int64_t bad : {int64_t{-1}, n, INT64_MAX}) {
    int64_t indices[2] = {0, bad};
    Status status = backend->embedding(weight, indices, 2, y.data(), serialFor);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "indices[1] is " + std::to_string(bad) + ": the weight has rows 0 to 36");
    EXPECT_EQ(std::count(y.begin(), y.end(), -1), 2 * k);
  }
}

TEST_F(CpuBackendTest, QuantizeObeysTheStride) {
  std::vector<float> rows(n * 8, 99);
  std::vector<uint8_t> out(n * k);
  std::vector<float> outScales(n * 3);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column)
      rows[row * 8 + column] = static_cast<float>(row + column);
  QuantizeArgs args;
  args.format = weight.format;
  args.n = n;
  args.k = k;
  args.weight = rows.data();
  args.stride = 8;
  args.codes = out.data();
  args.scales = outScales.data();
  ASSERT_TRUE(backend->quantize(args, threadedFor));
  for (int64_t i = 0; i < n * k; ++i)
    ASSERT_EQ(out[i], i / k + i % k);
  EXPECT_EQ(std::count(outScales.begin(), outScales.end(), 1.0f), n * 3);
}

TEST_F(CpuBackendTest, EveryCallVerifiesItsWeightFirst) {
  weight.scales = nullptr;
  int64_t index = 0;
  float y[k];
  EXPECT_FALSE(backend->prepack(weight, serialFor));
  EXPECT_FALSE(backend->embedding(weight, &index, 1, y, serialFor));
  EXPECT_FALSE(backend->dequantize(weight, y, serialFor));
  EXPECT_FALSE(backend->quantize(QuantizeArgs(), serialFor));
}

TEST_F(CpuBackendTest, ATargetThatThisMachineCannotRunIsRefused) {
  CpuTarget target;
  target.features = ~uint32_t{0};
  auto other = createCpuBackend(target, *cache);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::Unsupported);
}

TEST_F(CpuBackendTest, VerboseDispatchShowsEachKernelOnce) {
  Options options;
  options.cacheMode = Options::CacheMode::Off;
  options.verboseDispatch = true;
  KernelCache verbose(options, compiler.library);
  auto other = std::move(*createCpuBackend(CpuTarget::host(), verbose));
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    auto packed = other->prepack(weight, serialFor);
    Call call(1);
    ASSERT_TRUE(other->linear(**packed, call.args, serialFor));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "bq: dispatch: test_linear, schedule fake\n");
}

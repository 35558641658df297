// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Conv2dShape.h"

#include <gtest/gtest.h>

#include <functional>

using namespace bq;

namespace {

Conv2dShape example() {
  Conv2dShape shape;
  shape.batch = 2;
  shape.channels = 6;
  shape.height = 9;
  shape.width = 5;
  shape.outChannels = 4;
  shape.kernel = {3, 2};
  shape.stride = {2, 1};
  shape.padding = {1, 0};
  shape.dilation = {1, 2};
  shape.groups = 2;
  return shape;
}

std::string refusal(const std::function<void(Conv2dShape &)> &change) {
  Conv2dShape shape = example();
  change(shape);
  const Status status = shape.verify();
  return status ? "" : status.error().message;
}

} // namespace

TEST(Conv2dShape, SizesFollow) {
  const Conv2dShape shape = example();
  ASSERT_TRUE(shape.verify());
  EXPECT_EQ(shape.outHeight(), 5);
  EXPECT_EQ(shape.outWidth(), 3);
  EXPECT_EQ(shape.k(), 3 * 2 * 3);
  EXPECT_EQ(shape.gradientK(), 3 * 2 * 2);
}

TEST(Conv2dShape, AKernelBeyondTheImageLeavesNothing) {
  Conv2dShape shape = example();
  shape.width = 2;
  ASSERT_TRUE(shape.verify());
  EXPECT_EQ(shape.outWidth(), 0);
  EXPECT_EQ(shape.forward().pixels(), 0);
}

TEST(Conv2dShape, ForwardWalksOverTheInput) {
  const bq::abi::Conv2dGeometry g = example().forward();
  EXPECT_EQ(g.pixels(), 2 * 5 * 3);
  EXPECT_EQ(g.columnStride, 6);
  EXPECT_EQ(g.rowStride, 5 * 6);
  EXPECT_EQ(g.batchStride, 9 * 5 * 6);
  EXPECT_EQ(g.multiply[0], 2);
  EXPECT_EQ(g.divide[0], 1);
  EXPECT_EQ(g.offset[0], -1);
  EXPECT_EQ(g.tapStep[1], 2);
  EXPECT_TRUE(verifyGeometry(g, example().k(), 0));
}

TEST(Conv2dShape, TheGradientWalksOverTheOutput) {
  const bq::abi::Conv2dGeometry g = example().inputGradient();
  EXPECT_EQ(g.pixels(), 2 * 9 * 5);
  EXPECT_EQ(g.height, 5);
  EXPECT_EQ(g.width, 3);
  EXPECT_EQ(g.columnStride, 4);
  EXPECT_EQ(g.rowStride, 3 * 4);
  EXPECT_EQ(g.batchStride, 5 * 3 * 4);
  EXPECT_EQ(g.multiply[0], 1);
  EXPECT_EQ(g.divide[0], 2);
  EXPECT_EQ(g.offset[0], 1);
  EXPECT_EQ(g.tapStep[1], -2);
  EXPECT_TRUE(verifyGeometry(g, example().gradientK(), 0));
}

TEST(Conv2dShape, NamesWhatDoesNotFit) {
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.channels = 0; }), "channels is 0: use 1 to 2147483647");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.batch = -1; }), "batch is -1: use 0 to 2147483647");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.stride[1] = 0; }), "stride[1] is 0: use 1 to 1073741824");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.padding[0] = -2; }), "padding[0] is -2: use 0 to 1073741824");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.channels = 7; }), "channels is 7: a multiple of the 2 groups is expected");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.outChannels = 5; }),
            "outChannels is 5: a multiple of the 2 groups is expected");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.kernel = {1 << 20, 1 << 20}; }),
            "kernel is 1048576 by 1048576: a patch has at most 2147483647 elements");
  EXPECT_EQ(refusal([](Conv2dShape &s) { s.batch = s.height = s.width = (int64_t{1} << 31) - 1; }),
            "batch is 2147483647: the images have too many elements");
}

TEST(Conv2dShape, AGeometryIsCheckedAgainstTheWeightAndTheBits) {
  const bq::abi::Conv2dGeometry good = example().forward();
  auto refused = [&](const std::function<void(bq::abi::Conv2dGeometry &)> &change, int64_t k = 18, int bits = 0) {
    bq::abi::Conv2dGeometry g = good;
    change(g);
    const Status status = verifyGeometry(g, k, bits);
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(refused([](auto &) {}, 20), "geometry has a kernel of 3 by 2: it must divide the 20 columns of the weight");
  EXPECT_EQ(refused([](auto &g) { g.divide[0] = 0; }), "geometry.divide[0] is 0: use 1 to 1073741824");
  EXPECT_EQ(refused([](auto &g) { g.tapStep[1] = int64_t{1} << 31; }),
            "geometry.tapStep[1] is 2147483648: use -1073741824 to 1073741824");
  // Padding is a code of the activations, and 0 where those have none.
  EXPECT_EQ(refused([](auto &g) { g.padCode = -1; }), "geometry.padCode is -1: use 0 to 0");
  EXPECT_EQ(refused([](auto &g) { g.padCode = -1; }, 18, 1), "");
  EXPECT_EQ(refused([](auto &g) { g.padCode = 8; }, 18, 4), "geometry.padCode is 8: use -8 to 7");
}

TEST(Conv2dShape, PatchesOfOnePixelAreRows) {
  Conv2dShape shape = example();
  shape.kernel = {1, 1};
  shape.stride = {1, 1};
  shape.padding = {0, 0};
  EXPECT_TRUE(isPointwise(shape.forward()));
  EXPECT_TRUE(isPointwise(shape.inputGradient()));
  shape.stride = {2, 1};
  EXPECT_FALSE(isPointwise(shape.forward()));
  shape.stride = {1, 1};
  shape.padding = {0, 1};
  EXPECT_FALSE(isPointwise(shape.forward()));
  bq::abi::Conv2dGeometry apart = example().forward();
  apart.rowStride += 1;
  EXPECT_FALSE(isPointwise(apart));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/ReusedMemory.h"

#include <gtest/gtest.h>

using namespace bq;

TEST(ReusedMemory, FreedMemoryIsTakenAgain) {
  const at::Tensor like = at::zeros({3, 1 << 19}, at::kFloat);
  at::Tensor first = emptyReused(like);
  const void *data = first.data_ptr();
  first.fill_(1);
  const at::Tensor second = emptyReused(like);
  EXPECT_NE(second.data_ptr(), data) << "the first is alive";
  first.reset();
  const at::Tensor other = emptyReused(at::zeros({1 << 19}, at::kFloat)), again = emptyReused(like);
  EXPECT_NE(other.data_ptr(), data) << "of another size";
  EXPECT_EQ(again.data_ptr(), data);
  EXPECT_EQ(again.sizes(), like.sizes());
}

TEST(ReusedMemory, ViewsKeepIt) {
  const at::Tensor like = at::zeros({1 << 20}, at::kFloat);
  at::Tensor view = emptyReused(like).slice(0, 5, 9);
  view.fill_(3);
  const at::Tensor next = emptyReused(like).fill_(7);
  EXPECT_TRUE(at::equal(view, at::full({4}, 3.0f)));
}

TEST(ReusedMemory, IsOfTheTypeAndContiguous) {
  const at::Tensor like = at::zeros({1 << 10, 1 << 11}, at::kBFloat16).t();
  const at::Tensor made = emptyReused(like);
  EXPECT_EQ(made.scalar_type(), at::kBFloat16);
  EXPECT_EQ(made.sizes(), like.sizes());
  EXPECT_TRUE(made.is_contiguous());
}

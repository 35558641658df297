// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/AlignedBuffer.h"

#include "gtest/gtest.h"

#include <vector>

using namespace bq;

namespace {

TEST(HugePages, WhatLiesThereStays) {
  std::vector<uint8_t> memory(size_t{7} << 20);
  auto at = [](size_t i) { return static_cast<uint8_t>(i * 2654435761 >> 13); };
  for (size_t i = 0; i < memory.size(); ++i)
    memory[i] = at(i);
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{1} << 21, memory.size() - 300})
    moveToHugePages(memory.data() + 123, bytes);
  for (size_t i = 0; i < memory.size(); ++i)
    ASSERT_EQ(memory[i], at(i)) << i;
}

} // namespace

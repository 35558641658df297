// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/Resources.h"

#include <gtest/gtest.h>

using namespace bq;

TEST(Resources, EveryKernelOfALogIsRead) {
  Expected<std::vector<KernelResources>> kernels =
      parseResources("kernel.mlir(3): warning #177-D: variable \"registers\" was declared but never referenced\n"
                     "ptxas info    : 0 bytes gmem\n"
                     "ptxas info    : Compiling entry function 'first' for 'sm_90a'\n"
                     "ptxas info    : Function properties for first\n"
                     "ptxas         .     976 bytes stack frame, 1756 bytes spill stores, 1864 bytes spill loads\n"
                     "ptxas info    : Used 32 registers, used 1 barriers, 976 bytes cumulative stack size, 256 bytes "
                     "smem, 368 bytes cmem[0]\n"
                     "ptxas info    : Compile time = 90.723 ms\n"
                     "ptxas info    : Compiling entry function 'second' for 'sm_90a'\n"
                     "ptxas info    : Function properties for second\n"
                     "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                     "ptxas info    : Used 10 registers, used 0 barriers\n");
  ASSERT_TRUE(kernels) << kernels.error().message;
  ASSERT_EQ(kernels->size(), 2u);
  EXPECT_EQ((*kernels)[0].entry, "first");
  EXPECT_EQ((*kernels)[0].registers, 32);
  EXPECT_EQ((*kernels)[0].stackBytes, 976);
  EXPECT_EQ((*kernels)[0].spillBytes, 1756 + 1864);
  EXPECT_EQ((*kernels)[1].entry, "second");
  EXPECT_EQ((*kernels)[1].registers, 10);
  EXPECT_EQ((*kernels)[1].stackBytes, 0);
  EXPECT_EQ((*kernels)[1].spillBytes, 0);
}

TEST(Resources, WhatIsMissingIsAnError) {
  EXPECT_EQ(parseResources("").error().message, "the log of NVRTC names no kernel");
  for (const char *log : {"ptxas info    : Compiling entry function 'f' for 'sm_80'\n",
                          "ptxas info    : Compiling entry function 'f' for 'sm_80'\n"
                          "ptxas info    : Used 10 registers, used 0 barriers\n",
                          "ptxas info    : Compiling entry function 'f' for 'sm_80'\n"
                          "ptxas info    : Compiling entry function 'g' for 'sm_80'\n"})
    EXPECT_EQ(parseResources(log).error().message, "the log of NVRTC does not tell what kernel f takes") << log;
}

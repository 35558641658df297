// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From a kernel's text to its function.
#include "test/unit/emu/Support.h"

#include <cstdlib>

using namespace bq;
using namespace bq::emu;

namespace {

/// Sets the environment variable CXX, and sets it back at the end.
struct ScopedCompiler {
  explicit ScopedCompiler(const char *compiler) {
    if (const char *value = std::getenv("CXX"))
      before = value;
    setenv("CXX", compiler, 1);
  }
  ~ScopedCompiler() { before.empty() ? unsetenv("CXX") : setenv("CXX", before.c_str(), 1); }

  std::string before;
};

TEST(EmuCompiler, FindsEveryKernelByItsName) {
  std::shared_ptr<CompiledKernel> kernel = compile("extern \"C\" __global__ void __launch_bounds__(32) first() {}\n"
                                                   "extern \"C\" __global__ void __launch_bounds__(32) second() {}\n");
  ASSERT_TRUE(kernel);
  EXPECT_NE(kernel->entry("first"), nullptr);
  EXPECT_NE(kernel->entry("second"), nullptr);
  EXPECT_NE(kernel->entry("first"), kernel->entry("second"));
  EXPECT_EQ(kernel->entry("third"), nullptr);
}

TEST(EmuCompiler, KernelsOfOneNameDoNotMeet) {
  TestKernel one(kernelText("int32_t *out", "bq_store(out, 1);"), 1),
      two(kernelText("int32_t *out", "bq_store(out, 2);"), 1);
  std::vector<int32_t> out(1);
  ASSERT_TRUE(one.run({writable(out)}, out.data()).ok());
  EXPECT_EQ(out[0], 1);
  ASSERT_TRUE(two.run({writable(out)}, out.data()).ok());
  EXPECT_EQ(out[0], 2);
}

TEST(EmuCompiler, ARefusedTextIsAnErrorWithItsLine) {
  auto kernel = CompiledKernel::compile(kernelText("", "\nbq_no_such_function();"));
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Internal);
  EXPECT_NE(kernel.error().message.find("kernel.mlir:2:"), std::string::npos) << kernel.error().message;
  EXPECT_NE(kernel.error().message.find("bq_no_such_function"), std::string::npos) << kernel.error().message;
  EXPECT_EQ(kernel.error().message.find('\n'), std::string::npos);
}

TEST(EmuCompiler, AMissingCompilerIsAnErrorThatNamesIt) {
  ScopedCompiler missing("bq-no-such-compiler -pipe");
  auto kernel = CompiledKernel::compile("");
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::NotFound);
  EXPECT_NE(kernel.error().message.find("bq-no-such-compiler"), std::string::npos) << kernel.error().message;
}

TEST(EmuCompiler, CXXMayHaveArguments) {
  ScopedCompiler compiler("c++ -DVALUE=7");
  TestKernel test(kernelText("int32_t *out", "bq_store(out, VALUE);"), 1);
  std::vector<int32_t> out(1);
  ASSERT_TRUE(test.run({writable(out)}, out.data()).ok());
  EXPECT_EQ(out[0], 7);
}

} // namespace

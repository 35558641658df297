// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"
#include "Support.h"

#include <gtest/gtest.h>
#include <thread>

using namespace bq;
using namespace bq::test;

namespace {

Options withoutDisk() {
  Options options;
  options.cacheMode = Options::CacheMode::Off;
  return options;
}

} // namespace

TEST(KernelCache, AKernelIsCompiledOnce) {
  FakeCompiler compiler;
  KernelCache cache(withoutDisk(), compiler.library);
  auto first = cache.get(testRequest()), second = cache.get(testRequest()), other = cache.get(testRequest(2));
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(first->get(), second->get());
  EXPECT_NE(first->get(), other->get());
  EXPECT_EQ((*first)->spec(), testRequest().spec);
  EXPECT_EQ((*first)->artifact().name, "test_linear");
  EXPECT_TRUE((*first)->artifact().object.empty());
  EXPECT_NE((*first)->linear(), nullptr);
  EXPECT_NE((*first)->prepare(), nullptr);
  EXPECT_EQ(fakeState.compiles, 2);
  EXPECT_EQ(cache.stats().compiles, 2);
  EXPECT_EQ(cache.stats().memoryHits, 1);
  EXPECT_EQ(cache.stats().diskHits, 0);
}

TEST(KernelCache, ManyThreadsCompileOnce) {
  FakeCompiler compiler;
  fakeState.milliseconds = 20;
  KernelCache cache(withoutDisk(), compiler.library);
  std::vector<std::thread> threads;
  std::vector<const Kernel *> kernels(16);
  for (size_t i = 0; i < kernels.size(); ++i)
    threads.emplace_back([&, i] {
      auto kernel = cache.get(testRequest());
      kernels[i] = kernel ? kernel->get() : nullptr;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(fakeState.compiles, 1);
  for (const Kernel *kernel : kernels) {
    EXPECT_NE(kernel, nullptr);
    EXPECT_EQ(kernel, kernels[0]);
  }
  EXPECT_EQ(cache.stats().memoryHits, 15);
}

TEST(KernelCache, AnErrorGoesToAllWhoWaitAndIsNotKept) {
  FakeCompiler compiler;
  fakeState.fails = true;
  fakeState.milliseconds = 20;
  KernelCache cache(withoutDisk(), compiler.library);
  std::atomic<int> errors{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      auto kernel = cache.get(testRequest());
      errors += !kernel && kernel.error().message.find("the test wants it so") != std::string::npos;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(errors, 8);
  fakeState.fails = false;
  EXPECT_TRUE(cache.get(testRequest()));
}

TEST(KernelCache, WhatACompilerSaysAtLengthIsKeptBesideTheKernels) {
  TempFolder folder;
  FakeCompiler compiler;
  fakeState.fails = true;
  fakeState.failure = "it is refused\nthe log\nthe source";
  KernelCache cache(optionsFor(folder.path), compiler.library);
  auto kernel = cache.get(testRequest());
  ASSERT_FALSE(kernel);
  std::string path = folder.path + "/failed/" + KernelKey::get(testRequest()).hex + ".log";
  EXPECT_EQ(kernel.error().message, "it is refused; log and source are in " + path);
  std::vector<uint8_t> text = readFile(path);
  EXPECT_EQ(std::string(text.begin(), text.end()), fakeState.failure);

  ASSERT_TRUE(cache.disk().clear());
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  KernelCache memoryOnly(withoutDisk(), compiler.library);
  EXPECT_EQ(memoryOnly.get(testRequest()).error().message, fakeState.failure);
}

TEST(KernelCache, TheNextProcessFindsKernelsOnDiskWithoutACompiler) {
  TempFolder folder;
  {
    FakeCompiler compiler;
    KernelCache cache(optionsFor(folder.path), compiler.library);
    ASSERT_TRUE(cache.get(testRequest()));
  }
  CompilerLibrary absent("/nowhere/libbq_compiler.so");
  KernelCache cache(optionsFor(folder.path), absent);
  auto kernel = cache.get(testRequest());
  ASSERT_TRUE(kernel) << kernel.error().message;
  EXPECT_EQ((*kernel)->artifact().schedule, "fake");
  EXPECT_EQ(cache.stats().diskHits, 1);
  EXPECT_EQ(cache.stats().compiles, 0);
  auto missing = cache.get(testRequest(2));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::Unsupported);
  EXPECT_NE(missing.error().message.find(testRequest(2).spec.name()), std::string::npos);
  EXPECT_NE(missing.error().message.find("/nowhere/libbq_compiler.so"), std::string::npos);
}

TEST(KernelCache, AnObjectThatCannotBeLoadedIsAnErrorAndNotKept) {
  TempFolder folder;
  FakeCompiler compiler;
  fakeState.object.resize(100);
  KernelCache cache(optionsFor(folder.path), compiler.library);
  auto kernel = cache.get(testRequest());
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Internal);
  EXPECT_EQ(cache.disk().totals()->files, 0);
}

TEST(KernelCache, ASpecThatBreaksARuleIsNotCompiled) {
  FakeCompiler compiler;
  KernelCache cache(withoutDisk(), compiler.library);
  CompileRequest request = testRequest();
  request.spec.rows = 99;
  auto kernel = cache.get(request);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(fakeState.compiles, 0);
}

TEST(KernelCache, VerboseShowsEverySearchAndCompileInALine) {
  TempFolder folder;
  FakeCompiler compiler;
  Options options = optionsFor(folder.path);
  options.verboseCache = options.verboseCompile = true;
  testing::internal::CaptureStderr();
  ASSERT_TRUE(KernelCache(options, compiler.library).get(testRequest()));
  ASSERT_TRUE(KernelCache(options, compiler.library).get(testRequest()));
  std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(output, "\n"), 3) << output;
  EXPECT_EQ(occurrences(output, "bq: cache: miss " + testRequest().spec.name()), 1) << output;
  EXPECT_EQ(occurrences(output, "bq: compile: test_linear for "), 1) << output;
  EXPECT_EQ(occurrences(output, "bq: cache: hit test_linear "), 1) << output;
}

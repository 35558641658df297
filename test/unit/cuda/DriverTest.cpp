// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVIDIA's driver as bq finds it: absent, useless, old, or as it should be.
#include "Support.h"

#include <cstdlib>
#include <dlfcn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace bq;
using namespace bq::test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace {

using DriverTest = CudaTest;

Error failureAt(const std::string &path) {
  Expected<std::unique_ptr<const Driver>> driver = Driver::open(path);
  return driver ? Error{} : driver.error();
}

} // namespace

TEST_F(DriverTest, WithoutADriverEveryRequestEndsInTheSameSentence) {
  if (void *real = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL)) {
    dlclose(real);
    GTEST_SKIP() << "there is a driver on this machine";
  }
  Expected<const Driver *> driver = Driver::process();
  Expected<CudaKernels *> kernels = CudaKernels::process();
  ASSERT_FALSE(driver);
  ASSERT_FALSE(kernels);
  EXPECT_EQ(driver.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(driver.error().message,
            "kernels for GPUs need NVIDIA's driver, which cannot be opened (libcuda.so.1: cannot open shared object "
            "file: No such file or directory): install it, or set BQ_CUDA_DRIVER to the path of libcuda.so.1");
  EXPECT_EQ(kernels.error().message, driver.error().message);
}

TEST_F(DriverTest, ALibraryThatIsNoDriverIsRefused) {
  Error error = failureAt("libm.so.6");
  EXPECT_EQ(error.code, ErrorCode::Unsupported);
  EXPECT_EQ(error.message, "kernels for GPUs need NVIDIA's driver for CUDA 11.1 or newer: libm.so.6 has no cuInit");
}

TEST_F(DriverTest, WithoutADeviceTheDriverAndItsReasonAreNamed) {
  const std::string sentence = "kernels for GPUs need an NVIDIA GPU, and the driver (" + fakePath +
                               ", CUDA 13.0) gives none: CUDA_ERROR_NO_DEVICE; CUDA_VISIBLE_DEVICES may hide it";
  fakeAt(fakePath).behaviour.initResult = cuda::noDevice;
  EXPECT_EQ(failureAt(fakePath).message, sentence);
  fakeAt(fakePath).reset();
  fakeAt(fakePath).behaviour.devices = 0;
  EXPECT_EQ(failureAt(fakePath).message, sentence);
  EXPECT_EQ(failureAt(fakePath).code, ErrorCode::Unsupported);
}

TEST_F(DriverTest, ADeviceIsDescribed) {
  open();
  EXPECT_EQ(driver->devices(), 2);
  EXPECT_EQ(driver->version(), "13.0");
  EXPECT_TRUE(driver->api().hasLibraries());
  EXPECT_EQ(device(1).ordinal(), 1);
  EXPECT_EQ(device(1).name(), "Fake GPU");
  EXPECT_EQ(device(1).capability().str(), "sm_90a");
  EXPECT_EQ(device(1).multiprocessors(), 132);
  EXPECT_EQ(device(1).maxSharedBytes(), 232448);
  EXPECT_EQ(message(driver->device(2)), "device 2 is not there: the driver has 2, counted from 0");
  EXPECT_FALSE(driver->device(-1));
}

TEST_F(DriverTest, AnOldDriverIsOpenedByTheNamesInItsTable) {
  open(oldFakePath);
  EXPECT_EQ(driver->version(), "11.8");
  EXPECT_FALSE(driver->api().hasLibraries());
  EXPECT_EQ(driver->api().functionLoad, nullptr);
}

TEST_F(DriverTest, AContextIsPushedOnlyWhereTheThreadHasAnother) {
  open();
  {
    CurrentContext first(device(0));
    ASSERT_TRUE(first.status);
    CurrentContext again(device(0));
    EXPECT_EQ(fake->pushes, 1);
    {
      CurrentContext other(device(1));
      EXPECT_EQ(fake->pushes, 2);
    }
    cuda::Context current = nullptr;
    driver->api().contextGetCurrent(&current);
    EXPECT_EQ(current, *device(0).context());
    std::thread([&] {
      CurrentContext elsewhere(device(0));
      EXPECT_EQ(fake->pushes, 3);
    }).join();
  }
  EXPECT_EQ(fake->pops, 3);
}

TEST_F(DriverTest, WithoutMemoryForAContextTheErrorPasses) {
  open();
  fake->behaviour.contextResult = cuda::outOfMemory;
  Expected<cuda::Context> context = device().context();
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::Io);
  EXPECT_EQ(context.error().message, "context of device 0 (Fake GPU): CUDA_ERROR_OUT_OF_MEMORY (out of memory), says "
                                     "the driver for CUDA 13.0");
  fake->behaviour.contextResult = 0;
  EXPECT_TRUE(device().context());
}

TEST_F(DriverTest, AForkedChildIsToldToStartAnew) {
  open();
  pid_t child = fork();
  if (child == 0) {
    Expected<cuda::Context> context = device().context();
    const bool isTold = !context && context.error().code == ErrorCode::Unsupported &&
                        context.error().message.find("CUDA does not survive fork()") != std::string::npos;
    _exit(isTold ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(DriverTest, AnEnvironmentVariableNamesTheDriver) {
  ASSERT_EQ(setenv("BQ_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1), 0);
  EXPECT_THAT(message(Driver::process()),
              StartsWith("kernels for GPUs need NVIDIA's driver, which cannot be opened (/nowhere/libcuda.so.1: "));
  ASSERT_EQ(unsetenv("BQ_CUDA_DRIVER"), 0);
}

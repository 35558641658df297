// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How bqc bench measures a GPU: what it asks of the driver, and what it makes of the times.
#include "Support.h"

#include "tools/bqc/GpuTimes.h"

#include <stdexcept>

using namespace bq;
using namespace bq::cli;
using namespace bq::test;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

class GpuTimesTest : public CudaTest {
protected:
  /// A kernel of the tests' compiler.
  const LoadedCudaKernel &loaded() {
    Expected<const LoadedCudaKernel *> kernel = kernels->get(dequantizeSpec(), device(), nullptr);
    EXPECT_TRUE(kernel) << message(kernel);
    return **kernel;
  }
  Status launch() {
    return loaded().launch<cuda::DequantizeFn>(0, 1, stream, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 1);
  }

  int dummy = 0;
  const cuda::Stream stream = &dummy;
};

Samples samplesOf(double value) {
  Samples samples;
  samples.add(value);
  samples.add(3 * value);
  return samples;
}

} // namespace

// Calls are captured and made a graph once. At each measurement the graph is launched twice, and the second launch,
// which has waited behind the first, is what is measured.
TEST_F(GpuTimesTest, AGraphIsRecordedOnceAndItsSecondLaunchIsMeasured) {
  open();
  loaded();
  {
    Expected<CallGraph> graph = CallGraph::record(device(), stream, 3, [&](int64_t) { return launch(); });
    ASSERT_TRUE(graph) << message(graph);
    EXPECT_THAT(fake->graphCalls,
                ElementsAre("cuStreamBeginCapture", "cuLaunchKernel", "cuLaunchKernel", "cuLaunchKernel",
                            "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphDestroy"));
    EXPECT_EQ(fake->launches, 0) << "a capture does nothing";
    fake->graphCalls.clear();
    Expected<double> time = graph->microseconds();
    ASSERT_TRUE(time) << message(time);
    EXPECT_THAT(fake->graphCalls,
                ElementsAre("cuGraphLaunch", "cuEventRecord", "cuGraphLaunch", "cuEventRecord", "cuEventSynchronize"));
    EXPECT_EQ(fake->launches, 6);
    EXPECT_DOUBLE_EQ(*time, 1000.0 / 3);
    fake->graphCalls.clear();
  }
  EXPECT_THAT(fake->graphCalls, ElementsAre("cuGraphExecDestroy"));
}

TEST_F(GpuTimesTest, ACaptureIsEndedWhateverACallDoes) {
  open();
  Expected<CallGraph> failed =
      CallGraph::record(device(), stream, 3, [](int64_t) { return Status(internalError("no")); });
  EXPECT_EQ(message(failed), "no");
  EXPECT_THAT(fake->graphCalls, ElementsAre("cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphDestroy"));
  fake->graphCalls.clear();
  EXPECT_THROW(
      (void)CallGraph::record(device(), stream, 1, [](int64_t) -> Status { throw std::runtime_error("thrown"); }),
      std::runtime_error);
  EXPECT_THAT(fake->graphCalls, ElementsAre("cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphDestroy"));
  fake->behaviour.instantiateResult = cuda::outOfMemory;
  EXPECT_THAT(message(CallGraph::record(device(), stream, 2, [](int64_t) { return Status(); })),
              AllOf(HasSubstr("a graph of 2 calls"), HasSubstr("CUDA_ERROR_OUT_OF_MEMORY")));
}

TEST_F(GpuTimesTest, DriversWithoutGraphsAreRefused) {
  open(oldFakePath);
  EXPECT_THAT(message(CallGraph::record(device(), stream, 1, [](int64_t) { return Status(); })),
              HasSubstr("needs CUDA graphs, which drivers for CUDA 11.4 and newer have"));
}

// From memory: the copies in turn, each as often as the others. From the cache: always the same one.
TEST_F(GpuTimesTest, CopiesTakeTurnsUnlessTheCacheIsMeasured) {
  open();
  std::vector<int64_t> ours, theirs;
  const GpuContender seven{[&](int64_t copy) {
                             ours.push_back(copy);
                             return launch();
                           },
                           7},
      one{[&](int64_t copy) {
            theirs.push_back(copy);
            return launch();
          },
          1};
  Expected<GpuTimes> flushed = measureOnGpu(device(), stream, /*isFlushed=*/true, seven, one, /*rounds=*/5);
  ASSERT_TRUE(flushed) << message(flushed);
  EXPECT_EQ(flushed->kernel.size(), 5u);
  EXPECT_EQ(flushed->torchBF16.size(), 5u);
  ASSERT_EQ(ours.size() % 7, 0u);
  for (size_t i = 0; i < ours.size(); ++i)
    EXPECT_EQ(ours[i], static_cast<int64_t>(i % 7));
  EXPECT_THAT(theirs, Each(0));

  ours.clear();
  ASSERT_TRUE(measureOnGpu(device(), stream, /*isFlushed=*/false, seven, one, /*rounds=*/1));
  EXPECT_FALSE(ours.empty());
  EXPECT_THAT(ours, Each(0));
}

// Figures follow from the least times: 8 MB in 4 us are 2000 GB/s, of 8000 that the memory gives; 2 * 2 * 1024 * 4096
// operations in 4 us are 4194.304 GOP/s.
TEST_F(GpuTimesTest, FiguresFollowFromTheLeastTimes) {
  KernelSpec spec = linearSpec();
  spec.format = *Format::parse("int4:g128");
  spec.n = 1024;
  spec.k = 4096;
  const GpuTimes times{true, samplesOf(4), samplesOf(10)};
  nlohmann::ordered_json json = toJson({&spec, /*m=*/2, /*weightBytes=*/8'000'000, 8e12}, times);
  const nlohmann::ordered_json expected{{"m", 2},
                                        {"n", 1024},
                                        {"k", 4096},
                                        {"format", "int4:g128"},
                                        {"flushed", true},
                                        {"time_us", 4.0},
                                        {"time_median_us", json["time_median_us"]},
                                        {"gb_per_s", 2000.0},
                                        {"fraction_of_memory", 0.25},
                                        {"gop_per_s", 4194.304},
                                        {"torch_bf16_us", 10.0},
                                        {"torch_bf16_median_us", json["torch_bf16_median_us"]},
                                        {"torch_bf16_ratio", 2.5}};
  EXPECT_EQ(json, expected) << json.dump(2);
  EXPECT_EQ(toJson({&spec, 2, 8'000'000, 0}, times)["fraction_of_memory"], nullptr);
}

// By clock and width: 3 GHz, both edges, 1024 bytes.
TEST_F(GpuTimesTest, TheDriverSaysWhatMemoryGives) {
  open();
  EXPECT_DOUBLE_EQ(device().memoryBytesPerSecond(), 2 * 3e9 * 1024);
}

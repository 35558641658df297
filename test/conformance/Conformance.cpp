// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conformance.h"
#include "runtime/emu/EmuBackend.h"
#include "test/gpu/CudaBackend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

using namespace bq;
using namespace bq::conformance;

namespace {

class FunctionTest : public ::testing::Test {
public:
  explicit FunctionTest(std::function<void()> body) : body(std::move(body)) {}
  void TestBody() override { body(); }

private:
  std::function<void()> body;
};

std::map<std::string, double> &ratios() {
  static std::map<std::string, double> ratios;
  return ratios;
}

void backwardFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  const int64_t step = std::max<int64_t>(grain, 1);
  for (int64_t first = begin + (end - begin - 1) / step * step; first >= begin && begin < end; first -= step)
    body(first, std::min(first + step, end));
}

void threadedFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  const int64_t step = std::max<int64_t>({grain, 1, (end - begin + 2) / 3});
  std::vector<std::thread> threads;
  for (int64_t first = begin; first < end; first += step)
    threads.emplace_back([&body, first, last = std::min(first + step, end)] { body(first, last); });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace

const std::vector<Candidate> &bq::conformance::candidates() {
  const Traits gpu{Summation::Gpu,
                   {Compute::F32, Compute::BF16, Compute::I8},
                   /*sample=*/100,
                   /*hasFactors=*/false,
                   /*hasDirectConv2d=*/false,
                   /*hasMagnitudeSums=*/false};
  static const std::vector<Candidate> all = {
      {"reference", [] { return Expected<Backend *>(&referenceBackend()); }, {Summation::Exact}},
      {"cpu", cpuBackend, {}},
      {"emu", emuBackend, gpu},
      {"cuda", cudaBackend, gpu},
  };
  return all;
}

bool Subject::runs(size_t index, size_t count) const {
  static const char *full = std::getenv("BQ_FULL_TESTS");
  if (!sample || count <= sample || (full && std::string(full) == "1"))
    return true;
  return index * sample / count != (index + 1) * sample / count;
}

void bq::conformance::addTest(const Subject &subject, const std::string &part, const std::string &name,
                              std::function<void()> body) {
  ::testing::RegisterTest((subject.name + "/" + part).c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [body = std::move(body)]() -> ::testing::Test * { return new FunctionTest(body); });
}

ParallelFor bq::conformance::parallelFor(int which) {
  return which == 0 ? &serialFor : which == 1 ? &backwardFor : &threadedFor;
}

void bq::conformance::noteRatio(const std::string &label, double ratio) {
  double &greatest = ratios()[label];
  greatest = std::max(greatest, ratio);
}

void bq::conformance::printRatios() {
  for (const auto &[label, ratio] : ratios())
    std::printf("greatest error / tolerance, %s: %.3f\n", label.c_str(), ratio);
}

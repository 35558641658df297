// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/Probes.h"

#include <algorithm>
#include <random>

using namespace bq;
using namespace bq::test;

namespace {

/// The first launch also makes the clock go up.
constexpr int launches = 5;

/// The kernels on one device, loaded until the end.
class Module {
public:
  static Expected<Module> load(const DeviceMemory &memory, const std::string &image) {
    Module module(memory);
    if (cuda::Result result = module.api().moduleLoadData(&module.handle, image.c_str()); result != cuda::success)
      return memory.device().driver().error("loading the measuring kernels", result);
    return module;
  }
  Module(Module &&other) noexcept : memory(other.memory), handle(std::exchange(other.handle, nullptr)) {}
  Module &operator=(Module &&) = delete;
  ~Module() {
    if (handle)
      api().moduleUnload(handle);
  }

  /// The least time of a few launches, in microseconds.
  template <typename... Args>
  Expected<double> time(const char *name, int blocks, int threads, Args... args) const {
    cuda::Function function = nullptr;
    cuda::Result result = api().moduleGetFunction(&function, handle, name);
    if (result != cuda::success)
      return memory.device().driver().error(name, result);
    void *pointers[] = {&args...};
    double best = 0;
    for (int i = 0; i < launches; ++i) {
      Expected<double> time = memory.microseconds([&]() -> Status {
        result = api().launchKernel(function, blocks, 1, 1, threads, 1, 1, 0, nullptr, pointers, nullptr);
        return result == cuda::success ? Status() : memory.device().driver().error(name, result);
      });
      if (!time)
        return time;
      best = i ? std::min(best, *time) : *time;
    }
    return best;
  }

private:
  explicit Module(const DeviceMemory &memory) : memory(memory) {}
  const cuda::DriverApi &api() const { return memory.device().driver().api(); }

  const DeviceMemory &memory;
  cuda::Module handle = nullptr;
};

Status measureInstructions(const DeviceMemory &memory, const Module &kernels, Measurements &result) {
  struct Instruction {
    const char *kernel, *name;
    int columns; ///< Of A; it has 16 rows, and B 8 columns.
  };
  constexpr Instruction instructions[] = {
      {"rateB1", "m16n8k256 b1 and.popc", 256}, {"rateS8", "m16n8k32 u8 s8", 32}, {"rateBf16", "m16n8k16 bf16", 16}};
  constexpr int threads = 512, steps = 4096, chains = 8;
  const int blocks = memory.device().multiprocessors();

  // Finite as bf16, and of all bits otherwise, since zeros take less power and run at a higher clock.
  std::vector<uint32_t> values(threads * 6);
  std::mt19937 random(1);
  for (uint32_t &value : values)
    value = random() & 0xbfffbfff;
  Expected<DeviceBlock> in = DeviceBlock::allocate(memory, values.size() * 4);
  Expected<DeviceBlock> out = DeviceBlock::allocate(memory, static_cast<size_t>(blocks) * threads * 4);
  Expected<DeviceBlock> cycles = DeviceBlock::allocate(memory, blocks * sizeof(int64_t));
  for (const Expected<DeviceBlock> *block : {&in, &out, &cycles})
    if (!*block)
      return block->error();
  if (Status status = memory.copyIn(in->data(), values.data(), in->bytes()); !status)
    return status;

  for (const Instruction &instruction : instructions) {
    Expected<double> time =
        kernels.time(instruction.kernel, blocks, threads, in->data(), out->data(), cycles->data(), steps);
    if (!time)
      return time.error();
    std::vector<int64_t> clocks(blocks);
    if (Status status = memory.copyOut(clocks.data(), cycles->data(), cycles->bytes()); !status)
      return status;
    std::nth_element(clocks.begin(), clocks.begin() + blocks / 2, clocks.end());
    const double perBlock = static_cast<double>(threads) / 32 * steps * chains;
    result.instructions.push_back({instruction.name, *time,
                                   perBlock / static_cast<double>(std::max<int64_t>(clocks[blocks / 2], 1)),
                                   perBlock * blocks * 2 * 16 * 8 * instruction.columns / *time * 1e6});
  }
  return {};
}

Status measureReads(const DeviceMemory &memory, const Module &kernels, Measurements &result) {
  constexpr int64_t bytes = int64_t{3} << 30;
  constexpr int threads = 256, maxBlocks = 8;
  const int multiprocessors = memory.device().multiprocessors();
  Expected<DeviceBlock> in = DeviceBlock::allocate(memory, bytes);
  if (!in)
    return in.error();
  Expected<DeviceBlock> out =
      DeviceBlock::allocate(memory, static_cast<size_t>(multiprocessors) * maxBlocks * threads * 4);
  if (!out)
    return out.error();
  for (int loads : {4, 8, 16})
    for (int blocks = 1; blocks <= maxBlocks; blocks *= 2) {
      const std::string kernel = "read" + std::to_string(loads);
      Expected<double> time =
          kernels.time(kernel.c_str(), multiprocessors * blocks, threads, in->data(), out->data(), bytes / 16);
      if (!time)
        return time.error();
      result.reads.push_back({loads, blocks, *time, static_cast<double>(bytes) / *time * 1e6});
    }
  return {};
}

} // namespace

Expected<Measurements> test::measureDevice(const DeviceMemory &memory, const std::string &image) {
  CurrentContext context(memory.device());
  if (!context.status)
    return context.status.error();
  Expected<Module> kernels = Module::load(memory, image);
  if (!kernels)
    return kernels.error();
  Measurements result;
  if (Status status = measureInstructions(memory, *kernels, result); !status)
    return status.error();
  if (Status status = measureReads(memory, *kernels, result); !status)
    return status.error();
  result.peakBytesPerSecond = memory.device().memoryBytesPerSecond();
  return result;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeDriver.h"

#include "dialect/core/CudaAbi.h"
#include "dialect/core/CudaMixedAbi.h"
#include "dialect/core/CudaNoiseAbi.h"
#include "dialect/core/CudaUpdateAbi.h"
#include "runtime/emu/Emulator.h"

#include <cstring>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

using namespace bq;
using namespace bq::test;

namespace {

/// The pointer, where a function may write through it.
template <typename T>
void addWritable(std::vector<const char *> &pointers, T value) {
  if constexpr (std::is_pointer_v<T>)
    if constexpr (!std::is_const_v<std::remove_pointer_t<T>>)
      pointers.push_back(reinterpret_cast<const char *>(value));
}

/// All of the device's memory; only what the launch gets as an output may be written.
std::vector<emu::Buffer> buffers(const std::vector<const char *> &writable) {
  std::vector<emu::Buffer> all;
  std::lock_guard<std::mutex> guard(fakeDriver().mutex);
  for (auto [base, bytes] : fakeDriver().allocations) {
    bool isOutput = false;
    for (const char *pointer : writable)
      isOutput |= pointer >= base && pointer < base + bytes;
    all.push_back({base, bytes, isOutput});
  }
  return all;
}

template <typename... Parameters, size_t... Index>
Status run(const FakeLaunch &launch, void (*function)(Parameters...), std::index_sequence<Index...>) {
  const std::tuple<Parameters...> arguments(*static_cast<Parameters *>(launch.parameters[Index])...);
  std::vector<const char *> writable;
  (addWritable(writable, std::get<Index>(arguments)), ...);
  GpuKernel kernel;
  kernel.entry = launch.name;
  kernel.threads = launch.threads;
  kernel.sharedBytes = launch.sharedBytes;
  static std::atomic<uint64_t> seed{0};
  return emu::launch(
      kernel, {launch.grid[0], launch.grid[1], launch.grid[2]}, buffers(writable),
      [&] { std::apply(function, arguments); }, seed++);
}

template <typename... Parameters>
Status run(const FakeLaunch &launch, void (*function)(Parameters...)) {
  return run(launch, function, std::index_sequence_for<Parameters...>());
}

/// Whether a convolution, bq_..._conv2d_<height>x<width>_<compute>..., reads x itself: in other computes it reads what
/// was prepared.
bool readsPatches(const std::string &name) {
  const size_t kernel = name.find("_conv2d_");
  if (kernel == std::string::npos)
    return false;
  const size_t compute = name.find('_', kernel + std::strlen("_conv2d_"));
  return name.compare(compute, 4, "_f32") == 0;
}

/// By KernelSpec::name(), which says what a function does.
Status runByName(const FakeLaunch &launch) {
  auto has = [&](const char *part) { return launch.name.find(part) != std::string::npos; };
  auto endsWith = [&](std::string_view end) {
    return launch.name.size() >= end.size() &&
           launch.name.compare(launch.name.size() - end.size(), end.size(), end) == 0;
  };
  if (has("_update_")) {
    if (endsWith("_check"))
      return run(launch, reinterpret_cast<cuda::GradientCheckFn>(launch.entry));
    if (endsWith("_scale"))
      return run(launch, reinterpret_cast<cuda::TensorScaleFn>(launch.entry));
    return run(launch, reinterpret_cast<cuda::UpdateFn>(launch.entry));
  }
  if (has("_diffq_noise_grad_"))
    return run(launch, reinterpret_cast<cuda::DiffqNoiseGradFn>(launch.entry));
  if (has("_diffq_noise_"))
    return run(launch, reinterpret_cast<cuda::DiffqNoiseFn>(launch.entry));
  if (has("_weight_range"))
    return run(launch, reinterpret_cast<cuda::WeightRangeFn>(launch.entry));
  if (has("_mixed") && has("_dequantize__"))
    return run(launch, reinterpret_cast<cuda::MixedDequantizeFn>(launch.entry));
  if (has("_mixed") && has("_quantize__"))
    return run(launch, reinterpret_cast<cuda::MixedQuantizeFn>(launch.entry));
  if (has("_conv2d_") && has("_prepare"))
    return run(launch, reinterpret_cast<cuda::WithPatches<cuda::PrepareFn>::Fn>(launch.entry));
  if (readsPatches(launch.name))
    return run(launch, reinterpret_cast<cuda::WithPatches<cuda::LinearFn>::Fn>(launch.entry));
  if (has("_prepare"))
    return run(launch, reinterpret_cast<cuda::PrepareFn>(launch.entry));
  if (has("_linear_") || has("_conv2d_"))
    return run(launch, reinterpret_cast<cuda::LinearFn>(launch.entry));
  if (has("_embedding__"))
    return run(launch, reinterpret_cast<cuda::EmbeddingFn>(launch.entry));
  if (has("_dequantize__"))
    return run(launch, reinterpret_cast<cuda::DequantizeFn>(launch.entry));
  if (has("_prepack_"))
    return run(launch, reinterpret_cast<cuda::PrepackFn>(launch.entry));
  if (has("_fake_quantize_grad"))
    return run(launch, reinterpret_cast<cuda::FakeQuantizeGradFn>(launch.entry));
  if (has("_fake_quantize"))
    return run(launch, reinterpret_cast<cuda::FakeQuantizeFn>(launch.entry));
  return run(launch, reinterpret_cast<cuda::QuantizeFn>(launch.entry));
}

} // namespace

bool test::runOnEmulator(const FakeLaunch &launch, std::string &fault) {
  const Status status = runByName(launch);
  if (!status)
    fault = status.error().message;
  return status.ok();
}

extern "C" __attribute__((visibility("default"))) int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
  char *memory = static_cast<char *>(::operator new(bytes ? bytes : 1, std::align_val_t(256)));
  std::lock_guard<std::mutex> guard(fakeDriver().mutex);
  fakeDriver().allocations[memory] = bytes;
  *pointer = reinterpret_cast<unsigned long long>(memory);
  return 0;
}

extern "C" __attribute__((visibility("default"))) int cuMemFree_v2(unsigned long long pointer) {
  char *memory = reinterpret_cast<char *>(pointer);
  std::lock_guard<std::mutex> guard(fakeDriver().mutex);
  fakeDriver().allocations.erase(memory);
  ::operator delete(memory, std::align_val_t(256));
  return 0;
}

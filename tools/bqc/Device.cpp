// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Device.h"

#include "runtime/cuda/CudaKernels.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>

#include <filesystem>

using namespace bq;
using namespace bq::cli;

/// LibTorch's part for GPUs, which bq itself does not need: it lies beside the part that is in this process.
static Status loadTorchCuda() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info);
  const std::filesystem::path folder = std::filesystem::path(info.dli_fname ? info.dli_fname : "").parent_path();
  const std::string path = folder / "libtorch_cuda.so";
  if (!dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL))
    return unsupported("--device cuda: LibTorch's part for GPUs cannot be loaded: " + std::string(dlerror()));
  return {};
}

Expected<at::Device> cli::openDevice(const std::string &name) {
  if (name == "cpu")
    return at::Device(at::kCPU);
  if (name != "cuda")
    return invalidArgument("--device: unknown device '" + name + "', expected cpu or cuda");
  if (const Expected<CudaKernels *> kernels = CudaKernels::process(); !kernels)
    return unsupported("--device cuda: " + kernels.error().message);
  if (Status status = loadTorchCuda(); !status)
    return status.error();
  if (!c10::impl::hasDeviceGuardImpl(at::kCUDA) || c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount() == 0)
    return unsupported("--device cuda: LibTorch finds no GPU that it can use, though the driver has one");
  return at::Device(at::kCUDA, 0);
}

void cli::synchronize(at::Device device) {
  if (device.is_cuda())
    c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeDevice(device.index());
}

std::string cli::gpuName(at::Device device) {
  const Expected<CudaKernels *> kernels = CudaKernels::process();
  if (!kernels)
    return "";
  const Expected<const CudaDevice *> gpu = (*kernels)->driver().device(device.index());
  return gpu ? (*gpu)->name() : "";
}

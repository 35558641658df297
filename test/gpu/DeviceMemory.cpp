// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/DeviceMemory.h"

#include "runtime/Options.h"

#include <dlfcn.h>

using namespace bq;
using namespace bq::test;

Expected<DeviceMemory> DeviceMemory::open(const CudaDevice &device) {
  Expected<Options> options = Options::fromEnvironment();
  if (!options)
    return options.error();
  // The device's driver has opened it, and it is never closed.
  void *library = dlopen(options->cudaDriverPath.c_str(), RTLD_NOW | RTLD_LOCAL);
  DeviceMemory memory(device);
  Status missing;
  auto find = [&](auto &field, const char *name) {
    field = reinterpret_cast<std::decay_t<decltype(field)>>(library ? dlsym(library, name) : nullptr);
    if (!field)
      missing = unsupported("the driver " + options->cudaDriverPath + " has no " + name);
  };
  find(memory.allocateMemory, "cuMemAlloc_v2");
  find(memory.freeMemory, "cuMemFree_v2");
  find(memory.copyToDevice, "cuMemcpyHtoD_v2");
  find(memory.copyToHost, "cuMemcpyDtoH_v2");
  find(memory.synchronizeContext, "cuCtxSynchronize");
  find(memory.createEvent, "cuEventCreate");
  find(memory.destroyEvent, "cuEventDestroy_v2");
  find(memory.recordEvent, "cuEventRecord");
  find(memory.elapsedTime, "cuEventElapsedTime");
  if (!missing)
    return missing.error();
  return memory;
}

Status DeviceMemory::check(const char *what, cuda::Result result) const {
  if (result == cuda::success)
    return {};
  return place->driver().error(what, result);
}

Expected<void *> DeviceMemory::allocate(size_t bytes) const {
  CurrentContext context(*place);
  Address address = 0;
  if (Status status = context.status ? check("cuMemAlloc", allocateMemory(&address, bytes)) : context.status; !status)
    return status.error();
  return reinterpret_cast<void *>(address);
}

void DeviceMemory::free(void *memory) const {
  CurrentContext context(*place);
  if (context.status)
    freeMemory(reinterpret_cast<Address>(memory));
}

Status DeviceMemory::copyIn(void *memory, const void *host, size_t bytes) const {
  CurrentContext context(*place);
  if (!context.status)
    return context.status;
  return check("cuMemcpyHtoD", copyToDevice(reinterpret_cast<Address>(memory), host, bytes));
}

Status DeviceMemory::copyOut(void *host, const void *memory, size_t bytes) const {
  CurrentContext context(*place);
  if (!context.status)
    return context.status;
  return check("cuMemcpyDtoH", copyToHost(host, reinterpret_cast<Address>(memory), bytes));
}

Status DeviceMemory::synchronize() const {
  CurrentContext context(*place);
  if (!context.status)
    return context.status;
  return check("cuCtxSynchronize", synchronizeContext());
}

Expected<double> DeviceMemory::microseconds(const std::function<Status()> &work) const {
  CurrentContext context(*place);
  Status status = context.status;
  Event start = nullptr, end = nullptr;
  auto step = [&](const char *what, auto call) {
    if (status)
      status = check(what, call());
  };
  step("cuEventCreate", [&] { return createEvent(&start, 0); });
  step("cuEventCreate", [&] { return createEvent(&end, 0); });
  step("cuEventRecord", [&] { return recordEvent(start, nullptr); });
  if (status)
    status = work();
  step("cuEventRecord", [&] { return recordEvent(end, nullptr); });
  step("cuCtxSynchronize", synchronizeContext);
  float milliseconds = 0;
  step("cuEventElapsedTime", [&] { return elapsedTime(&milliseconds, start, end); });
  for (Event event : {start, end})
    if (event)
      destroyEvent(event);
  if (!status)
    return status.error();
  return milliseconds * 1e3;
}

Expected<DeviceBlock> DeviceBlock::allocate(const DeviceMemory &memory, size_t bytes) {
  if (!bytes)
    return DeviceBlock(memory, nullptr, 0);
  Expected<void *> block = memory.allocate(bytes);
  if (!block)
    return block.error();
  return DeviceBlock(memory, *block, bytes);
}

DeviceBlock::~DeviceBlock() {
  if (block)
    memory->free(block);
}

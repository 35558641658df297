// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/Driver.h"

#include "runtime/Fork.h"
#include "runtime/Options.h"

using namespace bq;
using namespace bq::cuda;

Status CudaDevice::read() {
  const DriverApi &api = owner.api();
  char text[256] = "";
  int major = 0, minor = 0, shared = 0, clock = 0, width = 0;
  Result result = api.deviceGet(&id, number);
  auto attribute = [&](int which, int &value) {
    if (result == success)
      result = api.deviceGetAttribute(&value, which, id);
  };
  attribute(capabilityMajor, major);
  attribute(capabilityMinor, minor);
  attribute(multiprocessorCount, processors);
  attribute(maxSharedBytesOptin, shared);
  if (result == success)
    result = api.deviceGetName(text, sizeof(text), id);
  if (result != success)
    return owner.error("asking for device " + std::to_string(number), result);
  if (api.deviceGetAttribute(&clock, memoryClockKilohertz, id) == success &&
      api.deviceGetAttribute(&width, memoryWidthBits, id) == success)
    bytesPerSecond = 2e3 * clock * width / 8; // Both edges of the clock.
  model = text;
  target.major = major;
  target.minor = minor;
  sharedBytes = shared;
  return {};
}

Expected<Context> CudaDevice::context() const {
  if (Context known = primary.load(std::memory_order_acquire))
    return known;
  // Two threads that come here at once retain it twice, which harms nothing: it is never released.
  Context made = nullptr;
  if (Result result = owner.api().primaryContextRetain(&made, id); result != success)
    return owner.error("context of device " + std::to_string(number) + " (" + model + ")", result);
  primary.store(made, std::memory_order_release);
  return made;
}

Status Driver::start(const std::string &path) {
  Expected<DriverApi> opened = DriverApi::open(path);
  if (!opened)
    return opened.error();
  functions = *opened;
  generation = forkGeneration();
  if (functions.driverGetVersion(&versionNumber) != success)
    versionNumber = 0;
  int count = 0;
  Result result = functions.init(0);
  if (result == success)
    result = functions.deviceGetCount(&count);
  if (result != success || !count) {
    const char *name = nullptr;
    functions.getErrorName(result == success ? noDevice : result, &name);
    return unsupported("kernels for GPUs need an NVIDIA GPU, and the driver (" + path + ", CUDA " + version() +
                       ") gives none: " + (name ? name : "error " + std::to_string(result)) +
                       "; CUDA_VISIBLE_DEVICES may hide it");
  }
  for (int i = 0; i < count; ++i) {
    all.emplace_back(new CudaDevice(*this, i));
    if (Status status = all.back()->read(); !status)
      return status;
  }
  return {};
}

Expected<std::unique_ptr<const Driver>> Driver::open(const std::string &path) {
  std::unique_ptr<Driver> driver(new Driver);
  if (Status status = driver->start(path); !status)
    return status.error();
  return std::unique_ptr<const Driver>(std::move(driver));
}

Expected<const Driver *> Driver::process() {
  static std::atomic<const Driver *> known{nullptr};
  if (const Driver *driver = known.load(std::memory_order_acquire))
    return driver;
  Expected<Options> options = Options::fromEnvironment();
  if (!options)
    return options.error();
  // The driver's loader takes locks that a fork must not cut in half.
  ForkDelay delay;
  Expected<std::unique_ptr<const Driver>> opened = open(options->cudaDriverPath);
  if (!opened)
    return opened.error();
  // One for all, whoever comes first.
  const Driver *first = nullptr;
  if (known.compare_exchange_strong(first, opened->get(), std::memory_order_acq_rel))
    return opened->release();
  return first;
}

Expected<const CudaDevice *> Driver::device(int ordinal) const {
  if (ordinal < 0 || ordinal >= devices())
    return invalidArgument("device " + std::to_string(ordinal) + " is not there: the driver has " +
                           std::to_string(devices()) + ", counted from 0");
  return all[ordinal].get();
}

std::string Driver::version() const {
  return std::to_string(versionNumber / 1000) + "." + std::to_string(versionNumber % 1000 / 10);
}

Expected<bool> Driver::isCapturing(Stream stream) const {
  int status = 0;
  Result result = functions.streamIsCapturing(stream, &status);
  if (result == captureImplicit)
    return true;
  if (result != success)
    return error("asking whether the stream is being captured", result);
  return status != 0;
}

Error Driver::error(const std::string &what, Result result) const {
  const char *name = nullptr, *words = nullptr;
  functions.getErrorName(result, &name);
  functions.getErrorString(result, &words);
  std::string text = what + ": " + (name ? name : "error " + std::to_string(result));
  if (words)
    text += std::string(" (") + words + ")";
  text += ", says the driver for CUDA " + version();
  if (forkGeneration() != generation)
    return unsupported(text + "; CUDA does not survive fork(): start processes anew (in Python by `spawn`)");
  switch (result) {
  case outOfMemory:
    return ioError(text);
  case noDevice:
  case noBinaryForGpu:
  case unsupportedPtxVersion:
  case systemDriverMismatch:
    return unsupported(text);
  default:
    return internalError(text);
  }
}

CurrentContext::CurrentContext(const CudaDevice &device) : api(device.driver().api()) {
  Expected<Context> wanted = device.context();
  if (!wanted) {
    status = wanted.error();
    return;
  }
  Context current = nullptr;
  Result result = api.contextGetCurrent(&current);
  if (result == success && current != *wanted) {
    result = api.contextPush(*wanted);
    isPushed = result == success;
  }
  if (result != success)
    status = device.driver().error("context of device " + std::to_string(device.ordinal()), result);
}

CurrentContext::~CurrentContext() {
  Context popped = nullptr;
  if (isPushed)
    api.contextPop(&popped);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The program of tools/gpu-check: makes its kernels where a compiler is, and measures a device with them.
#include "codegen/cuda/Nvrtc.h"
#include "runtime/cuda/CudaKernels.h"
#include "test/gpu/Probes.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::test;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char *usage = "usage: GpuProbe compile ARCH SOURCE CUBIN | prepare < SPECS | device | measure CUBIN";

Expected<std::string> readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file)
    return ioError("cannot read " + path);
  return text;
}

Status compile(const std::string &arch, const std::string &sourcePath, const std::string &cubinPath) {
  Expected<CudaTarget> target = CudaTarget::parse(arch);
  if (!target)
    return target.error();
  Expected<std::string> source = readFile(sourcePath);
  if (!source)
    return source.error();
  Expected<const NvrtcLibrary *> nvrtc = NvrtcLibrary::get();
  if (!nvrtc)
    return nvrtc.error();
  Expected<CudaCode> made = compileCuda(**nvrtc, *source, sourcePath, *target);
  if (!made)
    return made.error();
  std::ofstream file(cubinPath, std::ios::binary);
  file.write(reinterpret_cast<const char *>(made->code.data()), static_cast<std::streamsize>(made->code.size()));
  if (!file.flush())
    return ioError("cannot write " + cubinPath);
  return {};
}

Expected<const CudaDevice *> firstDevice() {
  Expected<const Driver *> driver = Driver::process();
  if (!driver)
    return driver.error();
  return (*driver)->device(0);
}

/// Kernels by their specs, a line each, into the disk cache.
Status prepare() {
  std::vector<KernelSpec> specs;
  for (std::string line; std::getline(std::cin, line);) {
    Expected<KernelSpec> spec = KernelSpec::parse(line);
    if (!spec)
      return spec.error();
    specs.push_back(*spec);
  }
  Expected<CudaKernels *> kernels = CudaKernels::process();
  if (!kernels)
    return kernels.error();
  Expected<const CudaDevice *> device = firstDevice();
  return device ? (*kernels)->prepare(specs, **device) : device.error();
}

Json toJson(const CudaDevice &device) {
  return {{"device", device.name()},
          {"capability", device.capability().str()},
          {"multiprocessors", device.multiprocessors()},
          {"cuda", device.driver().version()}};
}

Json toJson(const Measurements &measured) {
  Json instructions = Json::array(), reads = Json::array();
  for (const InstructionRate &rate : measured.instructions)
    instructions.push_back({{"instruction", rate.name},
                            {"per_clock_per_multiprocessor", rate.perClock},
                            {"tera_ops", rate.operationsPerSecond / 1e12},
                            {"us", rate.microseconds}});
  const double peak = measured.peakBytesPerSecond;
  for (const ReadRate &rate : measured.reads)
    reads.push_back({{"loads_in_flight", rate.loads},
                     {"blocks_per_multiprocessor", rate.blocks},
                     {"gb_per_s", rate.bytesPerSecond / 1e9},
                     {"fraction_of_peak", peak ? Json(rate.bytesPerSecond / peak) : Json(nullptr)},
                     {"us", rate.microseconds}});
  return {{"peak_gb_per_s", peak ? Json(peak / 1e9) : Json(nullptr)}, {"instructions", instructions}, {"reads", reads}};
}

Status print(const Json &json) {
  std::cout << json.dump(2) << std::endl;
  return std::cout ? Status() : ioError("cannot write to stdout");
}

Status describe() {
  Expected<const CudaDevice *> device = firstDevice();
  return device ? print(toJson(**device)) : device.error();
}

Status measure(const std::string &cubinPath) {
  Expected<std::string> image = readFile(cubinPath);
  if (!image)
    return image.error();
  Expected<const CudaDevice *> device = firstDevice();
  if (!device)
    return device.error();
  Expected<DeviceMemory> memory = DeviceMemory::open(**device);
  if (!memory)
    return memory.error();
  Expected<Measurements> measured = measureDevice(*memory, *image);
  if (!measured)
    return measured.error();
  return print(toJson(*measured));
}

} // namespace

int main(int argc, char **argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string command = words.empty() ? "" : words[0];
  Status status;
  if (command == "compile" && words.size() == 4)
    status = compile(words[1], words[2], words[3]);
  else if (command == "prepare" && words.size() == 1)
    status = prepare();
  else if (command == "device" && words.size() == 1)
    status = describe();
  else if (command == "measure" && words.size() == 2)
    status = measure(words[1]);
  else {
    std::fprintf(stderr, "%s\n", usage);
    return 2;
  }
  if (status)
    return 0;
  std::fprintf(stderr, "GpuProbe: error: %s\n", status.error().message.c_str());
  return 1;
}

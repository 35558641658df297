// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/TorchCommands.h"

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <dlfcn.h>

using namespace bq;
using namespace bq::cli;

extern "C" __attribute__((visibility("default"))) const TorchCommands *bqcTorchCommands() {
  static const TorchCommands commands{TORCH_VERSION,
                                      []() -> std::string {
                                        Dl_info info{};
                                        dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info);
                                        return info.dli_fname ? info.dli_fname : "";
                                      },
                                      runQuantize,
                                      runCompare,
                                      runBench,
                                      runBenchUpdate,
                                      runBenchNoise,
                                      runBenchOneBit,
                                      runTrain,
                                      runBenchTrain,
                                      runDistill};
  return &commands;
}

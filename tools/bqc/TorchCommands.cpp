// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/TorchCommands.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <dlfcn.h>

using namespace bq;
using namespace bq::cli;

namespace {

/// `run` with what it throws printed as one sentence.
template <auto run>
struct Guarded;
template <typename Options, int (*run)(const Options &)>
struct Guarded<run> {
  static int call(const Options &options) {
    try {
      return run(options);
    } catch (const std::exception &error) {
      return fail(modelErrorText(error));
    }
  }
};

} // namespace

extern "C" __attribute__((visibility("default"))) const TorchCommands *bqcTorchCommands() {
  static const TorchCommands commands{TORCH_VERSION,
                                      []() -> std::string {
                                        Dl_info info{};
                                        dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info);
                                        return info.dli_fname ? info.dli_fname : "";
                                      },
                                      runQuantize,
                                      Guarded<runCompare>::call,
                                      Guarded<runBench>::call,
                                      Guarded<runBenchUpdate>::call,
                                      Guarded<runBenchNoise>::call,
                                      Guarded<runBenchOneBit>::call,
                                      Guarded<runTrain>::call,
                                      Guarded<runBenchTrain>::call,
                                      Guarded<runDistill>::call};
  return &commands;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/LayerTimes.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

void cli::torchParallelFor(int64_t begin, int64_t end, int64_t grain,
                           const std::function<void(int64_t, int64_t)> &body) {
  at::parallel_for(begin, end, grain, body);
}

Json cli::layerJson(const LayerTimes &times, const KernelTimes &compile, const ArithmeticClass &arithmetic,
                    double operations, double error) {
  const double rate = operations / times.kernel.minimum() * 1e6;
  return {{"time_us", times.kernel.minimum()},
          {"time_median_us", times.kernel.median()},
          {"gop_per_s", rate / 1e9},
          {"peak_gop_per_s", times.peak / 1e9},
          {"peak_instruction", arithmetic.name},
          {"fraction_of_peak", rate / times.peak},
          {"torch_f32_us", times.torchF32.minimum()},
          {"torch_f32_median_us", times.torchF32.median()},
          {"torch_bf16_us", times.torchBF16.minimum()},
          {"torch_bf16_median_us", times.torchBF16.median()},
          {"max_rel_err", error},
          {"cold_compile_ms", compile.coldCompile},
          {"warm_compile_ms", compile.warmCompile},
          {"disk_load_ms", compile.diskLoad},
          {"rounds", times.rounds}};
}

static double value(const Json &layer, const std::string &key) { return layer[key].get<double>(); }

void cli::printLayerTimes(const Json &layer) {
  fmt::print("kernel      {}\n", layer["kernel"].get<std::string>());
  fmt::print("target      {}, {} threads\n", layer["target"].get<std::string>(), layer["threads"].get<int>());
  const double time = value(layer, "time_us");
  fmt::print("time        {:.1f} us (median {:.1f})\n", time, value(layer, "time_median_us"));
  for (const std::string type : {"f32", "bf16"}) {
    const double torchTime = value(layer, "torch_" + type + "_us");
    fmt::print("{:<12}{:.1f} us (median {:.1f}), {:.2f}x\n", "torch " + type, torchTime,
               value(layer, "torch_" + type + "_median_us"), torchTime / time);
  }
}

void cli::printLayerPeaks(const Json &layer) {
  fmt::print("arithmetic  {:.1f} GOP/s, {:.2f} of {:.1f} GOP/s ({})\n", value(layer, "gop_per_s"),
             value(layer, "fraction_of_peak"), value(layer, "peak_gop_per_s"),
             layer["peak_instruction"].get<std::string>());
  fmt::print("error       {:.2e} of max|x| sum|W| + |bias|\n", value(layer, "max_rel_err"));
  fmt::print("compile     {:.1f} ms cold, {:.1f} ms with the compiler loaded, {:.2f} ms from disk\n",
             value(layer, "cold_compile_ms"), value(layer, "warm_compile_ms"), value(layer, "disk_load_ms"));
}

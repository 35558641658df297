// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/DiffqNoise.h"
#include "runtime/Backend.h"
#include "runtime/DiffqNoiseArgs.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchCommands.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstring>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// What is measured, the contender that its speed is given beside, and the bytes that it must move; 0 where that is
/// not its measure.
struct Contender {
  std::string name;
  size_t peer;
  size_t bytes;
  std::function<void()> run;
  Samples milliseconds;
};

class Contest {
public:
  explicit Contest(const BenchNoiseOptions &options)
      : group(options.group), noise(take("noise", parseNoiseKind(options.noise))),
        weight(at::randn({options.parameters})),
        bits(at::rand({group ? (options.parameters + group - 1) / group : 1}).mul_(13).add_(2)),
        outer(at::randn_like(weight)), result(at::empty_like(weight)), bitsGradient(at::empty_like(bits)) {
    const WeightRange range = weightRange(weight);
    scale = range.high - range.low;
    const size_t elements = weight.nbytes(), groups = bits.nbytes();
    contenders = {{"copy", 0, 2 * elements, [this] { copy(); }, {}},
                  {"torch eager", 1, 0, [this] { eager(weight, bits); }, {}},
                  {"bq, the kernel", 1, 2 * elements + groups, [this] { runKernel(); }, {}},
                  {"bq, the range", 1, elements, [this] { weightRange(weight); }, {}},
                  {"bq, range and noise",
                   1,
                   3 * elements + groups,
                   [this] { diffqNoise(weight, bits, group, noise, 1, ++step); },
                   {}},
                  {"torch eager, with gradients", 5, 0, [this] { differentiate(/*isEager=*/true); }, {}},
                  {"bq, with gradients", 5, 0, [this] { differentiate(/*isEager=*/false); }, {}},
                  {"bq, the gradient's kernel", 5, elements + 2 * groups, [this] { runGradientKernel(); }, {}}};
  }

  void run() {
    interleave(contenders, [](Contender &contender) { contender.run(); });
  }

  Json json() const {
    Json json{{"op", "noise"},
              {"parameters", weight.numel()},
              {"group", group},
              {"noise", std::string(str(noise))},
              {"threads", at::get_num_threads()},
              {"rounds", contenders[0].milliseconds.size()},
              {"contenders", Json::array()}};
    for (const Contender &contender : contenders) {
      const double time = contender.milliseconds.minimum();
      Json entry{{"name", contender.name},
                 {"time_ms", time},
                 {"time_median_ms", contender.milliseconds.median()},
                 {"ratio_to_eager", contenders[contender.peer].milliseconds.minimum() / time}};
      if (contender.bytes) {
        entry["gb_per_s"] = rate(contender);
        entry["ratio_to_copy"] = rate(contender) / rate(contenders[0]);
      }
      json["contenders"].push_back(std::move(entry));
    }
    return json;
  }

private:
  template <typename T>
  static T take(const char *what, Expected<T> value) {
    TORCH_CHECK(value, what, ": ", value.error().message);
    return *value;
  }
  static void check(const Status &status) { TORCH_CHECK(status, status.error().message); }

  static double rate(const Contender &contender) {
    return static_cast<double>(contender.bytes) / contender.milliseconds.minimum() * 1e-6;
  }

  /// In one piece for each thread, which is what the C library copies fastest.
  void copy() {
    auto *to = static_cast<char *>(result.mutable_data_ptr());
    const auto *from = static_cast<const char *>(weight.const_data_ptr());
    const auto bytes = static_cast<int64_t>(weight.nbytes());
    at::parallel_for(0, bytes, (bytes + at::get_num_threads() - 1) / at::get_num_threads(),
                     [&](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, end - begin); });
  }

  at::Tensor eager(const at::Tensor &w, const at::Tensor &b) const {
    const at::Tensor n = noise == NoiseKind::Gaussian ? at::randn_like(w).div_(2) : at::rand_like(w).sub_(0.5);
    const at::Tensor step = (w.max() - w.min()) * (1 / (at::exp2(b) - 1));
    if (group > 1 && w.numel() % group == 0)
      return (w.view({-1, group}) + step.view({-1, 1}) * n.view({-1, group})).view(w.sizes());
    return w + (group > 1 ? step.repeat_interleave(group).slice(0, 0, w.numel()) : step) * n;
  }

  NoiseArgs common() {
    NoiseArgs args;
    args.count = weight.numel();
    args.groupSize = group;
    args.bits = bits.const_data_ptr<float>();
    args.scale = scale;
    args.noise = noise;
    args.seed = 1;
    args.offset = ++step;
    return args;
  }

  static void parallel(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
    at::parallel_for(begin, end, grain, body);
  }

  void runKernel() {
    DiffqNoiseArgs args;
    static_cast<NoiseArgs &>(args) = common();
    args.weight = weight.const_data_ptr();
    args.noisy = result.mutable_data_ptr();
    check(take("backend", cpuBackend())->diffqNoise(args, parallel));
  }

  void runGradientKernel() {
    DiffqNoiseGradArgs args;
    static_cast<NoiseArgs &>(args) = common();
    args.gradient = outer.const_data_ptr();
    args.bitsGradient = bitsGradient.mutable_data_ptr<float>();
    double scaleGradient = 0;
    args.scaleGradient = &scaleGradient;
    check(take("backend", cpuBackend())->diffqNoiseGrad(args, parallel));
  }

  void differentiate(bool isEager) {
    at::AutoGradMode withGradients(true);
    const at::Tensor w = weight.detach().requires_grad_(), b = bits.detach().requires_grad_();
    (isEager ? eager(w, b) : diffqNoise(w, b, group, noise, 1, ++step)).backward(outer);
  }

  int64_t group;
  NoiseKind noise;
  at::Tensor weight, bits, outer, result, bitsGradient;
  float scale = 0;
  uint64_t step = 0;
  std::vector<Contender> contenders; ///< The copy comes first.
};

void printText(const Json &json) {
  fmt::print("{} parameters, groups of {}, {} noise, {} threads, least and median of {} rounds\n\n",
             json["parameters"].get<int64_t>(), json["group"].get<int64_t>(), json["noise"].get<std::string>(),
             json["threads"].get<int>(), json["rounds"].get<int64_t>());
  fmt::print("{:<30}{:>10}{:>10}{:>9}{:>10}{:>8}\n", "", "ms", "median", "eager", "GB/s", "copy");
  for (const Json &contender : json["contenders"]) {
    fmt::print("{:<30}{:>10.2f}{:>10.2f}{:>8.2f}x", contender["name"].get<std::string>(),
               contender["time_ms"].get<double>(), contender["time_median_ms"].get<double>(),
               contender["ratio_to_eager"].get<double>());
    if (contender.contains("gb_per_s"))
      fmt::print("{:>10.2f}{:>7.2f}x", contender["gb_per_s"].get<double>(), contender["ratio_to_copy"].get<double>());
    fmt::print("\n");
  }
}

} // namespace

int cli::runBenchNoise(const BenchNoiseOptions &command) {
  if (command.threads)
    at::set_num_threads(command.threads);
  at::NoGradGuard noGrad;
  Contest contest(command);
  contest.run();
  return printResult(command.output, contest.json(), printText);
}

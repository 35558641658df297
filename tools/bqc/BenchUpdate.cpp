// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Quantize.h"
#include "quantizers/Update.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/PrintResult.h"
#include "tools/bqc/TorchCommands.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

constexpr int64_t columns = 4096;
constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

/// What is measured: a name, bytes of its moments and of what else it keeps of the weight, and one step.
struct Contender {
  std::string name;
  int64_t stateBytes = 0, weightBytes = 0;
  std::function<void(int64_t step)> run;
  Samples milliseconds;
  int64_t steps = 0;
};

int64_t bytesOf(std::initializer_list<at::Tensor> tensors) {
  int64_t bytes = 0;
  for (const at::Tensor &tensor : tensors)
    bytes += tensor.defined() ? tensor.numel() * tensor.element_size() : 0;
  return bytes;
}

bq::UpdateOptions stepOptions() {
  bq::UpdateOptions options;
  options.beta1 = beta1, options.beta2 = beta2, options.epsilon = epsilon;
  options.biasCorrection = true;
  return options;
}

/// Of the steps that are measured: gradients are not looked at first, as LibTorch's own steps do not.
bq::UpdateOptions finiteOptions() {
  bq::UpdateOptions options = stepOptions();
  options.gradientIsFinite = true;
  return options;
}

/// The rule of bq.update in LibTorch's operators.
void eagerStep(at::Tensor &weight, const at::Tensor &gradient, at::Tensor &m, at::Tensor &v, int64_t step) {
  const double t = static_cast<double>(step), lr = stepOptions().lr;
  m.mul_(beta1).add_(gradient, 1 - beta1);
  v.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
  const double rate = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  weight.addcdiv_(m, v.sqrt().add_(epsilon), -rate);
}

class Contest {
public:
  explicit Contest(int64_t rows) : gradient(at::randn({rows, columns}).mul_(1e-3)) {
    const at::Tensor start = at::randn({rows, columns}).mul_(0.02);
    addTorch(start);
    addFloat("bq, f32 moments", start, MomentType::F32);
    addFloat("bq, f32 moments, checked for NaN", start, MomentType::F32, /*isChecked=*/true);
    addFloat("bq, 8-bit moments", start, MomentType::Block8);
    for (Rounding rounding : {Rounding::Nearest, Rounding::Residual, Rounding::Stochastic})
      for (MomentType moments : {MomentType::F32, MomentType::Block8})
        addPacked(start, rounding, moments);
  }

  void run() {
    // The tenth step is the first that counts.
    interleave(contenders, [](Contender &contender) { contender.run(8 + contender.steps++); });
  }

  Json json() const {
    Json json{{"op", "update"},
              {"parameters", gradient.numel()},
              {"threads", at::get_num_threads()},
              {"rounds", contenders[0].milliseconds.size()},
              {"contenders", Json::array()}};
    const double fused = contenders[0].milliseconds.minimum(), eager = contenders[1].milliseconds.minimum();
    for (const Contender &contender : contenders) {
      const double time = contender.milliseconds.minimum();
      json["contenders"].push_back({{"name", contender.name},
                                    {"time_ms", time},
                                    {"time_median_ms", contender.milliseconds.median()},
                                    {"weight_bytes", contender.weightBytes},
                                    {"state_bytes", contender.stateBytes},
                                    {"ratio_to_fused", fused / time},
                                    {"ratio_to_eager", eager / time}});
    }
    return json;
  }

private:
  void addTorch(const at::Tensor &start) {
    for (bool isFused : {true, false}) {
      at::Tensor weight = start.clone(), m = at::zeros_like(start), v = at::zeros_like(start);
      at::Tensor count = at::zeros({}, at::kFloat);
      Contender contender{isFused ? "torch fused adam" : "torch eager", bytesOf({m, v}), bytesOf({weight}), {}, {}};
      contender.run = [=, g = gradient](int64_t step) mutable {
        if (!isFused)
          return eagerStep(weight, g, m, v, step);
        count.fill_(step);
        at::_fused_adam_({weight}, {g}, {m}, {v}, {}, {count}, stepOptions().lr, beta1, beta2, 0, epsilon,
                         /*amsgrad=*/false, /*maximize=*/false);
      };
      contenders.push_back(std::move(contender));
    }
  }

  void addFloat(const std::string &name, const at::Tensor &start, MomentType type, bool isChecked = false) {
    at::Tensor weight = start.clone();
    Moments moments = Moments::zeros(type, UpdateRule::Adam, start.sizes(), false, at::kCPU);
    const bq::UpdateOptions options = isChecked ? stepOptions() : finiteOptions();
    add(name, moments, bytesOf({weight}),
        [=, g = gradient](int64_t step) { bq::update(weight, g, moments, step, options); });
  }

  void addPacked(const at::Tensor &start, Rounding rounding, MomentType type) {
    PackedParameter weight;
    weight.format = *Format::parse("int4:g128");
    std::tie(weight.codes, weight.scales, std::ignore) = quantize(start, weight.format);
    weight.rounding = rounding;
    if (rounding == Rounding::Residual)
      weight.residual = at::zeros(start.sizes(), at::kChar);
    Moments moments = Moments::zeros(type, UpdateRule::Adam, start.sizes(), true, at::kCPU);
    add(fmt::format("bq int4:g128 {}, {} moments", str(rounding), type == MomentType::F32 ? "f32" : "8-bit"), moments,
        bytesOf({weight.codes, weight.scales, weight.residual}),
        [=, g = gradient](int64_t step) { bq::update(weight, g, moments, step, finiteOptions()); });
  }

  void add(const std::string &name, const Moments &moments, int64_t weightBytes, std::function<void(int64_t)> run) {
    contenders.push_back(
        {name, bytesOf({moments.m, moments.v, moments.mScales, moments.vScales}), weightBytes, std::move(run), {}});
  }

  at::Tensor gradient;
  std::vector<Contender> contenders; ///< LibTorch's two come first.
};

void printText(const Json &json) {
  fmt::print("{} parameters, {} threads, least and median of {} rounds\n\n", json["parameters"].get<int64_t>(),
             json["threads"].get<int>(), json["rounds"].get<int64_t>());
  fmt::print("{:<38}{:>10}{:>10}{:>11}{:>11}{:>9}{:>9}\n", "", "ms", "median", "weight", "moments", "fused", "eager");
  for (const Json &contender : json["contenders"])
    fmt::print("{:<38}{:>10.2f}{:>10.2f}{:>11}{:>11}{:>8.2f}x{:>8.2f}x\n", contender["name"].get<std::string>(),
               contender["time_ms"].get<double>(), contender["time_median_ms"].get<double>(),
               sizeText(contender["weight_bytes"].get<int64_t>()), sizeText(contender["state_bytes"].get<int64_t>()),
               contender["ratio_to_fused"].get<double>(), contender["ratio_to_eager"].get<double>());
}

} // namespace

int cli::runBenchUpdate(const BenchUpdateOptions &command) {
  if (command.threads)
    at::set_num_threads(command.threads);
  at::NoGradGuard noGrad;
  Contest contest(std::max<int64_t>(1, command.parameters / columns));
  contest.run();
  return printResult(command.output, contest.json(), printText);
}

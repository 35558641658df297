// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/TorchCommands.h"
#include "tools/bqc/train/Settings.h"
#include "tools/bqc/train/TrainReport.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// What LibTorch has for the same model: float layers, and its own optimizer where bq's was asked for.
TrainOptions floatOptions(TrainOptions options) {
  options.layer = "float";
  if (options.optimizer == "diodemix")
    options.optimizer = "adamw";
  return options;
}

/// Milliseconds of steps on one batch, all of them the same work.
struct Steps {
  Trainer trainer;
  at::Tensor rows;
  Samples milliseconds;

  void run() {
    trainer.model->train();
    const double start = now();
    trainer.step(rows);
    milliseconds.add((now() - start) * 1e3);
  }
};

Expected<Steps> open(const TrainOptions &options) {
  Expected<Trainer> trainer = Trainer::open(options);
  if (!trainer)
    return trainer.error();
  const int64_t rows = std::min(options.batch, trainer->data.train.x.size(0));
  return Steps{std::move(*trainer), at::arange(rows), {}};
}

/// Interleaved, so that a change of the machine's speed meets both.
void measure(Steps &quantized, Steps &floating) {
  constexpr int minRounds = 20, maxRounds = 20000;
  constexpr double seconds = 4;
  double start = 0;
  // The first rounds compile kernels and fill caches.
  for (int round = -5; round < maxRounds && (round < minRounds || now() - start < seconds); ++round) {
    if (round == 0) {
      quantized.milliseconds = floating.milliseconds = Samples();
      start = now();
    }
    quantized.run();
    floating.run();
  }
}

} // namespace

int cli::runBenchTrain(const TrainOptions &command) {
  if (Status status = checkSettings(command); !status)
    return failUsage(status.error().message);
  at::set_num_threads(command.threads);
  Expected<Steps> quantized = open(command);
  if (!quantized)
    return fail(quantized.error());
  Expected<Steps> floating = open(floatOptions(command));
  if (!floating)
    return fail(floating.error());
  measure(*quantized, *floating);
  const double time = quantized->milliseconds.minimum(), floatTime = floating->milliseconds.minimum();
  const double median = quantized->milliseconds.median(), floatMedian = floating->milliseconds.median();
  const std::string floatOptimizer = floating->trainer.options.optimizer;
  if (command.output.json) {
    Json object{{"settings", settingsOf(command)},
                {"float_optimizer", floatOptimizer},
                {"rounds", quantized->milliseconds.size()},
                {"step_ms", time},
                {"step_median_ms", median},
                {"float_step_ms", floatTime},
                {"float_step_median_ms", floatMedian},
                {"steps_per_second", 1e3 / time},
                {"float_steps_per_second", 1e3 / floatTime},
                {"ratio", floatTime / time}};
    fmt::print("{}\n", object.dump(2));
    return Done;
  }
  printPlan(quantized->trainer);
  fmt::print("{:<8}  {:.3f} ms a step (median {:.3f}), {:.0f} steps/s, {}\n", command.layer, time, median, 1e3 / time,
             command.optimizer);
  fmt::print("float     {:.3f} ms a step (median {:.3f}), {:.0f} steps/s, LibTorch's {}\n", floatTime, floatMedian,
             1e3 / floatTime, floatOptimizer);
  fmt::print("ratio     {:.2f}x of float's speed, {} rounds\n", floatTime / time, quantized->milliseconds.size());
  return Done;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Arguments.h"
#include "tools/bqc/LayerArguments.h"

using namespace bq;
using namespace bq::cli;

static void addBenchNoise(CLI::App &bench, BenchNoiseOptions &options, Run &run) {
  CLI::App *command = bench.add_subcommand("noise", "A weight with DiffQ's noise, beside LibTorch's operators");
  command->add_option("--parameters", options.parameters, "Elements of the weight")
      ->check(CLI::Range(int64_t{1}, greatestSize))
      ->capture_default_str();
  command->add_option("--group", options.group, "Elements that share a number of bits; 0 = all")
      ->check(CLI::Range(int64_t{0}, greatestSize))
      ->capture_default_str();
  command->add_option("--noise", options.noise, "gaussian or uniform")
      ->check(CLI::IsMember({"gaussian", "uniform"}))
      ->capture_default_str();
  addThreads(*command, options.threads);
  addOutput(*command, options.output);
  command->callback([&] { run = byTorch(&TorchCommands::benchNoise, options); });
}

static void addBenchOneBit(CLI::App &bench, BenchOneBitOptions &options, Run &run) {
  CLI::App *command = bench.add_subcommand("onebit", "Balancing and decomposition of a weight, beside eager LibTorch");
  command->add_option("--n", options.n, "Rows")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--k", options.k, "Columns")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  addThreads(*command, options.threads);
  addOutput(*command, options.output);
  command->callback([&] { run = byTorch(&TorchCommands::benchOneBit, options); });
}

void cli::addBench(CLI::App &app, BenchOptions &options, BenchUpdateOptions &update, BenchNoiseOptions &noise,
                   BenchOneBitOptions &oneBit, TrainOptions &train, Run &run) {
  CLI::App *command = app.add_subcommand("bench", "Measure one kernel beside LibTorch's own and the machine's limits");
  command->require_subcommand(1);
  CLI::App *linear = command->add_subcommand("linear", "A linear layer");
  CLI::App *conv2d = command->add_subcommand("conv2d", "A convolution");
  addSizes(*linear, options.layer);
  addConv2dSizes(*conv2d, options.layer.conv);
  addDevice(*linear, options.device, "Where the layer runs: cpu or cuda");
  for (const char *size : {"--m", "--n", "--k"})
    linear->get_option(size)->required();
  for (CLI::App *layer : {linear, conv2d}) {
    addLayer(*layer, options.layer);
    layer->get_option("--compute")->required();
    addThreads(*layer, options.threads);
    addOutput(*layer, options.output);
    layer->callback([&, layer] {
      options.layer.op = layer->get_name();
      run = byTorch(&TorchCommands::bench, options);
    });
  }
  CLI::App *step = command->add_subcommand("update", "Steps of an optimizer, beside LibTorch's");
  step->add_option("--parameters", update.parameters, "Elements of the weight")
      ->check(CLI::Range(int64_t{4096}, greatestSize))
      ->capture_default_str();
  addThreads(*step, update.threads);
  addOutput(*step, update.output);
  step->callback([&] { run = byTorch(&TorchCommands::benchUpdate, update); });
  addBenchNoise(*command, noise, run);
  addBenchOneBit(*command, oneBit, run);
  CLI::App *training = command->add_subcommand("train", "Steps of training, beside the same model in float");
  addTrainSettings(*training, train);
  addOutput(*training, train.output);
  training->callback([&] { run = byTorch(&TorchCommands::benchTrain, train); });
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"
#include "tools/bqc/Commands.h"
#include "tools/bqc/LayerArguments.h"
#include "tools/bqc/Output.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <system_error>

using namespace bq;
using namespace bq::cli;

namespace {

/// The command that was chosen.
using Run = std::function<int()>;

/// Leaves `--json` to the caller: one command gives it a value.
void addCommon(CLI::App &command, OutputOptions &output) {
  command.add_flag("-q,--quiet", output.quiet, "Write nothing to stderr but errors");
  command.add_flag("-v,--verbose", output.verbose, "Say more; may be repeated");
}

void addOutput(CLI::App &command, OutputOptions &output) {
  command.add_flag("--json", output.json, "Write one JSON object to stdout");
  addCommon(command, output);
}

void addDevice(CLI::App &command, std::string &device, const char *meaning) {
  command.add_option("--device", device, meaning)->check(CLI::IsMember({"cpu", "cuda"}))->capture_default_str();
}

int withTorch(const std::function<int(const TorchCommands &)> &run) {
  const Expected<const TorchCommands *> commands = torchCommands();
  return commands ? run(**commands) : fail(commands.error());
}

void addCalibration(CLI::App &command, CalibrationOptions &options) {
  CLI::Option *data = command.add_option("--calibrate", options.data,
                                         "Inputs that decide how linear layers of the format sign are decomposed: what "
                                         "torch.save wrote of a list of input tuples");
  const auto flag = [&](const char *name, bool &value, const char *meaning) {
    command.add_flag(name, value, meaning)->needs(data);
  };
  flag("--layer-by-layer", options.layerByLayer, "A pass over the inputs for each layer, which holds one Hessian");
  flag("--qep", options.qep, "Layers make up for the error of those before them, two passes for each layer");
  command.add_option("--hessian", options.hessian, "How the Hessian is summed: f32 or f64")
      ->check(CLI::IsMember({"f32", "f64"}))
      ->capture_default_str()
      ->needs(data);
  command.add_option("--rounds", options.rounds, "Rounds of refinement")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->needs(data);
  command
      .add_option("--damping", options.damping,
                  "What inputs will be off by once the layers before are quantized, as part of their mean square")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->needs(data);
  flag("--no-importance", options.noImportance, "Errors of all inputs count the same");
  flag("--no-balancing", options.noBalancing, "Do not try balanced starts");
  flag("--resume", options.resume, "Go on from the journal of a run that was stopped, OUT.journal, where there is one");
  command.add_option("--results", options.results, "File for a, b and signs of the decomposed layers, as safetensors")
      ->needs(data);
}

void addQuantize(CLI::App &app, QuantizeOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("quantize", "Quantize the layers of a TorchScript model");
  command->add_option("in", options.in, "TorchScript model")->required();
  command->add_option("-o,--out", options.out, "File for the quantized model")->required();
  command
      ->add_option("--format", options.formats,
                   "[REGEX=]FORMAT, such as int4:g128 or word_embeddings=uint8; the last that matches a layer wins")
      ->required();
  command->add_option("--compute", options.compute, "How sums are taken: f32, bf16, i16 or i8")->capture_default_str();
  addDevice(*command, options.device, "Where weights are quantized: cpu or cuda; the model stays on the cpu");
  command->add_option("--include", options.include, "Only layers whose name matches one of these patterns");
  command->add_option("--exclude", options.exclude, "Not the layers whose name matches one of these patterns");
  addCalibration(*command, options.calibration);
  command
      ->add_option("--target-bits", options.targetBits,
                   "Mean bits of layers in int or uint: each gets 2 to 8 by what they cost on the calibration data")
      ->check(CLI::Range(2.0, 8.0))
      ->needs("--calibrate");
  command->add_option("--report", options.reports,
                      "Files for the report: JSON, or a page where the name ends in .html");
  command->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but write nothing");
  addOutput(*command, options.output);
  command->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.quantize(options); }); }; });
}

void addCompare(CLI::App &app, CompareOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("compare", "Run two models on the same inputs");
  command->add_option("a", options.a, "TorchScript model, the reference")->required();
  command->add_option("b", options.b, "TorchScript model")->required();
  command->add_option("--inputs", options.inputs, "What torch.save wrote of a list of input tuples")->required();
  command->add_option("--json", options.jsonFile, "Write one JSON object to FILE; without FILE or with -, to stdout")
      ->expected(0, 1)
      ->type_name("[FILE]");
  addDevice(*command, options.device, "Where the models run: cpu or cuda");
  command->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
  addCommon(*command, options.output);
  command->callback([&, command] {
    options.output.json = command->count("--json") > 0;
    run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.compare(options); }); };
  });
}

/// What describes a run of training.
void addTrainSettings(CLI::App &command, TrainOptions &options) {
  const auto choice = [&](const char *name, std::string &value, const char *meaning, std::vector<std::string> names) {
    command.add_option(name, value, meaning)->check(CLI::IsMember(names))->capture_default_str();
  };
  command.add_option("--data", options.data, "digits, a CSV file, or a .pt file of tensors x and y")
      ->capture_default_str();
  command.add_option("--label", options.label, "Label column of a CSV file, by name or number from 0; else the last");
  command.add_option("--image", options.image, "The image that an example is, such as 8x8 or 3x32x32");
  command.add_option("--test-share", options.testShare, "Share of the examples that only test")->capture_default_str();
  command
      .add_option("--model", options.model, "mlp[:SIZE,...], conv[:CHANNELS,...], or the file of a TorchScript model")
      ->capture_default_str();
  choice("--layer", options.layer, "Kind of the layers: nbit, binary, mpq or float",
         {"nbit", "binary", "mpq", "float"});
  command.add_option("--weight-bits", options.weightBits, "Of nbit and mpq layers")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  command.add_option("--activation-bits", options.activationBits, "Of nbit layers; 16: floats as they are")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  choice("--optimizer", options.optimizer, "diodemix, adamw or sgd", {"diodemix", "adamw", "sgd"});
  choice("--rounding", options.rounding, "How packed weights keep small steps: residual or stochastic",
         {"residual", "stochastic"});
  choice("--moments", options.moments, "Type of the optimizer's moments: f32, bf16 or i8", {"f32", "bf16", "i8"});
  command.add_option("--lr", options.lr, "Learning rate")->capture_default_str();
  choice("--schedule", options.schedule, "Of the learning rate: constant, cosine or step",
         {"constant", "cosine", "step"});
  command.add_option("--batch", options.batch, "Examples in a step, or a few more")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of the split, the first weights and the order")->capture_default_str();
  command.add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024))->capture_default_str();
}

/// How bits are learned.
void addBitSettings(CLI::App &command, TrainOptions &options) {
  command.add_option("--quantizer", options.quantizer, "none, or diffq: learn the bits of groups of weights")
      ->check(CLI::IsMember({"none", "diffq"}))
      ->capture_default_str();
  command.add_option("--penalty", options.penalty, "What a MB of the model adds to the loss")->capture_default_str();
  command.add_option("--target-size", options.targetSize,
                     "MB of the packed state as a file, to reach by steering the penalty");
  command.add_option("--group-size", options.groupSize, "Weights that share a number of bits; 0: a whole parameter")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command.add_option("--noise", options.noise, "In place of rounding: gaussian or uniform")
      ->check(CLI::IsMember({"gaussian", "uniform"}))
      ->capture_default_str();
  command.add_option("--init-bits", options.initBits, "Bits to begin with")->capture_default_str();
  command.add_option("--bits-lr", options.bitsLr, "Learning rate of the bits")->capture_default_str();
  command.add_option("--min-size", options.minSize, "MB of floats up to which a parameter stays as it is")
      ->capture_default_str();
  command.add_option("--report", options.report, "File for a page of HTML on bits and sizes");
}

void addTrain(CLI::App &app, TrainOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("train", "Train a classifier with quantized layers");
  addTrainSettings(*command, options);
  command->add_option("--epochs", options.epochs, "Passes over the data")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  addBitSettings(*command, options);
  command->add_option("-o,--out", options.out, "File for the model with packed weights, as TorchScript");
  CLI::Option *checkpoint = command->add_option("--checkpoint", options.checkpoint, "File to write after each epoch");
  command->add_flag("--resume", options.resume, "Go on from the checkpoint, with its settings")->needs(checkpoint);
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but train and write nothing");
  addOutput(*command, options.output);
  command->callback([&, command] {
    for (const CLI::Option *option : command->get_options())
      if (option->count())
        options.given.push_back(option->get_single_name());
    run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.train(options); }); };
  });
}

void addBenchOneBit(CLI::App &bench, BenchOneBitOptions &options, Run &run) {
  CLI::App *command = bench.add_subcommand("onebit", "Balancing and decomposition of a weight, beside eager LibTorch");
  command->add_option("--n", options.n, "Rows")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--k", options.k, "Columns")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
  addOutput(*command, options.output);
  command->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.benchOneBit(options); }); }; });
}

void addDistill(CLI::App &app, DistillOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("distill", "Train a TorchScript model's linear layers at one bit a weight");
  command->add_option("teacher", options.teacher, "TorchScript model")->required();
  command->add_option("-o,--out", options.out, "File for the model with packed signs, as TorchScript")->required();
  command->add_option("--data", options.data, "Inputs to train on: what torch.save wrote of a list of input tuples")
      ->required();
  command->add_option("--test", options.test, "Inputs, in the same form, on which the models are compared");
  command->add_option("--include", options.include, "Only layers whose name matches one of these patterns");
  command->add_option("--exclude", options.exclude, "Not the layers whose name matches one of these patterns");
  command->add_option("--compute", options.compute, "How packed layers take sums: f32, bf16, i16 or i8")
      ->capture_default_str();
  command->add_option("--loss", options.loss, "Between results: cosine, mse, or kl for logits")
      ->check(CLI::IsMember({"cosine", "mse", "kl"}))
      ->capture_default_str();
  command->add_option("--output-weight", options.outputWeight, "Of the loss between results")->capture_default_str();
  command->add_option("--hidden-weight", options.hiddenWeight, "Of the loss between the layers' outputs")
      ->capture_default_str();
  command->add_option("--calibrate", options.calibrate, "How many inputs calibrate the start; 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--lr", options.lr, "Learning rate")->capture_default_str();
  command->add_option("--epochs", options.epochs, "Passes over the data")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  CLI::Option *steps = command->add_option("--steps", options.steps, "Steps, one input tuple each, in place of epochs")
                           ->check(CLI::Range(1, 1 << 30));
  command->add_option("--minutes", options.minutes, "As many steps as fit, by the time of the first")
      ->check(CLI::PositiveNumber)
      ->excludes(steps);
  command->add_option("--seed", options.seed, "Of the order of the data")->capture_default_str();
  command->add_option("--threads", options.threads, "Threads to use")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--report", options.report, "File for the report, as JSON");
  CLI::Option *checkpoint = command->add_option("--checkpoint", options.checkpoint, "File from which --resume goes on");
  command->add_option("--checkpoint-steps", options.checkpointSteps, "Steps from one writing of it to the next")
      ->check(CLI::Range(1, 1 << 30))
      ->needs(checkpoint)
      ->capture_default_str();
  command->add_flag("--resume", options.resume, "Go on from the checkpoint, with the same options")->needs(checkpoint);
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but train and write nothing");
  addOutput(*command, options.output);
  command->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.distill(options); }); }; });
}

void addBenchNoise(CLI::App &bench, BenchNoiseOptions &options, Run &run) {
  CLI::App *command = bench.add_subcommand("noise", "A weight with DiffQ's noise, beside LibTorch's operators");
  command->add_option("--parameters", options.parameters, "Elements of the weight")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31))
      ->capture_default_str();
  command->add_option("--group", options.group, "Elements that share a number of bits; 0 = all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str();
  command->add_option("--noise", options.noise, "gaussian or uniform")
      ->check(CLI::IsMember({"gaussian", "uniform"}))
      ->capture_default_str();
  command->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
  addOutput(*command, options.output);
  command->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.benchNoise(options); }); }; });
}

void addBench(CLI::App &app, BenchOptions &options, BenchUpdateOptions &update, BenchNoiseOptions &noise,
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
    layer->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
    addOutput(*layer, options.output);
    layer->callback([&, layer] {
      options.layer.op = layer->get_name();
      run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.bench(options); }); };
    });
  }
  CLI::App *step = command->add_subcommand("update", "Steps of an optimizer, beside LibTorch's");
  step->add_option("--parameters", update.parameters, "Elements of the weight")
      ->check(CLI::Range(int64_t{4096}, int64_t{1} << 31))
      ->capture_default_str();
  step->add_option("--threads", update.threads, "Threads to use")->check(CLI::Range(1, 1024));
  addOutput(*step, update.output);
  step->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.benchUpdate(update); }); }; });
  addBenchNoise(*command, noise, run);
  addBenchOneBit(*command, oneBit, run);
  CLI::App *training = command->add_subcommand("train", "Steps of training, beside the same model in float");
  addTrainSettings(*training, train);
  addOutput(*training, train.output);
  training->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.benchTrain(train); }); }; });
}

void addExplain(CLI::App &app, ExplainOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("explain", "Show how a kernel is chosen, and its code at every stage");
  command
      ->add_option("--op", options.layer.op,
                   "linear, linear_input_gradient, conv2d, embedding, quantize, dequantize, prepack, fake_quantize, "
                   "fake_quantize_grad or update; an update with --format f32, f16 or bf16 is one of a float weight")
      ->required();
  addLayer(*command, options.layer);
  addSizes(*command, options.layer);
  addConv2dSizes(*command, options.layer.conv);
  addStep(*command, options.layer);
  command->add_option("--data-type", options.layer.dataType, "Of activations: f32, f16 or bf16")->capture_default_str();
  command->add_option("--scale-type", options.layer.scaleType, "Of scales: f32, f16 or bf16")->capture_default_str();
  command
      ->add_option("--target", options.target,
                   "cpu (this machine, or BQ_CPU), cpu:NAME such as cpu:haswell, cuda:ARCH such as cuda:sm_90a")
      ->capture_default_str();
  command->add_option(
      "--stage", options.stage,
      "layer, schedule, tile; for a cpu llvm, asm; for cuda cuda, ptx, resources; candidates where not given");
  command->add_option("--schedule", options.schedule, "Force a candidate by its name");
  addOutput(*command, options.output);
  command->callback([&] { run = [&] { return runExplain(options); }; });
}

void addCache(CLI::App &app, CacheOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("cache", "Look at and clean the cache of compiled kernels");
  command->require_subcommand(1);
  using Action = CacheOptions::Action;
  const auto add = [&](const char *name, const char *meaning, Action action) {
    CLI::App *sub = command->add_subcommand(name, meaning);
    addOutput(*sub, options.output);
    sub->callback([&options, &run, action] {
      options.action = action;
      run = [&options] { return runCache(options); };
    });
    return sub;
  };
  add("path", "Print the folder", Action::Path);
  add("list", "List the kernels, least recently used first", Action::List);
  add("info", "Show one kernel", Action::Info)
      ->add_option("key", options.key, "Its key, or how that begins")
      ->required();
  add("stats", "Number, size and limit", Action::Stats);
  add("verify", "Read and load every kernel; exit code 1 if one is damaged", Action::Verify);
  add("prune", "Remove least recently used kernels", Action::Prune)
      ->add_option("--max-size", options.maxSize, "Bytes to keep, with an optional suffix K, M or G")
      ->required();
  add("clear", "Remove all kernels", Action::Clear);
}

void addDoctor(CLI::App &app, OutputOptions &output, Run &run) {
  CLI::App *command = app.add_subcommand("doctor", "Say what was found on this machine; exit code 1 if bq cannot work");
  addOutput(*command, output);
  command->callback([&] { run = [&] { return runDoctor(output); }; });
}

void addLoadKernel(CLI::App &app, LoadKernelOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("load-kernel", "");
  command->add_option("spec", options.spec)->required();
  command->group(""); // Not listed: `bench` starts it.
  command->callback([&] { run = [&] { return runLoadKernel(options); }; });
}

/// What is wrong with a command line. CLI11 asks for a command before it looks at the words that are none.
std::string usageText(const CLI::App &app, const CLI::ParseError &error) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (dynamic_cast<const CLI::RequiredError *>(&error) && !unknown.empty())
    return "'" + unknown.front() + "' is not a command";
  return error.what();
}

/// `code`, or Failed with a message where results did not reach stdout.
int flushed(int code) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout)
    return code;
  return fail(std::string("cannot write to stdout: ") + std::strerror(errno));
}

} // namespace

int main(int argc, char **argv) {
  // A reader that goes away and a limit on file sizes are errors of the write, like a full disk.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app("bqc makes models smaller with kernels compiled for their quantized layers", "bqc");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("bqc, build ") + buildId());
  QuantizeOptions quantize;
  CompareOptions compare;
  BenchOptions bench;
  BenchUpdateOptions benchUpdate;
  BenchNoiseOptions benchNoise;
  BenchOneBitOptions benchOneBit;
  TrainOptions train, benchTrain;
  DistillOptions distill;
  ExplainOptions explain;
  CacheOptions cache;
  OutputOptions doctor;
  LoadKernelOptions loadKernel;
  Run run;
  addQuantize(app, quantize, run);
  addCompare(app, compare, run);
  addTrain(app, train, run);
  addDistill(app, distill, run);
  addBench(app, bench, benchUpdate, benchNoise, benchOneBit, benchTrain, run);
  addExplain(app, explain, run);
  addCache(app, cache, run);
  addDoctor(app, doctor, run);
  addLoadKernel(app, loadKernel, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &help) {
    app.exit(help);
    return flushed(Done);
  } catch (const CLI::ParseError &error) {
    return failUsage(usageText(app, error) + " (bqc --help lists what is accepted)");
  }
  try {
    return flushed(run());
  } catch (const std::system_error &error) {
    // What fmt throws where a write fails.
    return fail(std::string("cannot write to stdout: ") + error.code().message());
  }
}

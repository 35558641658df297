// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"
#include "tools/bqc/Arguments.h"
#include "tools/bqc/LayerArguments.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <system_error>

using namespace bq;
using namespace bq::cli;

namespace {

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
      ->check(isRule())
      ->required();
  command->add_option("--compute", options.compute, "How sums are taken: f32, bf16, i16 or i8")->capture_default_str();
  addDevice(*command, options.device, "Where weights are quantized: cpu or cuda; the model stays on the cpu");
  addPatterns(*command, options.include, options.exclude);
  addCalibration(*command, options.calibration);
  command
      ->add_option("--target-bits", options.targetBits,
                   "Mean bits of layers in int or uint: each gets 2 to 8 by what they cost on the calibration data")
      ->check(CLI::Range(2.0, 8.0))
      ->needs("--calibrate");
  command->add_option("--report", options.reports,
                      "Files for the report: JSON, or a page where the name ends in .html");
  addThreads(*command, options.threads);
  command->add_flag("--dry-run", options.dryRun, "Check everything and print the plan, but write nothing");
  addOutput(*command, options.output);
  command->callback([&] { run = byTorch(&TorchCommands::quantize, options); });
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
  addThreads(*command, options.threads);
  addCommon(*command, options.output);
  command->callback([&, command] {
    options.output.json = command->count("--json") > 0;
    run = byTorch(&TorchCommands::compare, options);
  });
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

/// What is wrong with a command line, and which command's help says what is right. CLI11 asks for a command before it
/// looks at the words that are none.
std::string usageText(const CLI::App &app, const CLI::ParseError &error) {
  std::string command = app.get_name();
  for (const CLI::App *chosen = &app; !chosen->get_subcommands().empty();) {
    chosen = chosen->get_subcommands().back();
    command += " " + chosen->get_name();
  }
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const bool isUnknown = dynamic_cast<const CLI::RequiredError *>(&error) && !unknown.empty();
  return (isUnknown ? "'" + unknown.front() + "' is not a command" : error.what()) + " (" + command +
         " --help lists what is accepted)";
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
    return failUsage(usageText(app, error));
  }
  try {
    return flushed(run());
  } catch (const std::system_error &error) {
    // What fmt throws where a write fails.
    return fail(std::string("cannot write to stdout: ") + error.code().message());
  }
}

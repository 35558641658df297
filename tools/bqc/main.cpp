// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"
#include "tools/bqc/Commands.h"
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
  command->add_option("--report", options.report, "File for the report, as JSON");
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

void addLayer(CLI::App &command, LayerOptions &layer) {
  const auto size = CLI::Range(int64_t{1}, int64_t{1} << 31);
  command.add_option("--m", layer.m, "Rows of the input")->check(size)->capture_default_str();
  command.add_option("--n", layer.n, "Output features")->check(size);
  command.add_option("--k", layer.k, "Input features")->check(size)->required();
  command.add_option("--format", layer.format, "Format of the weight, such as int4:g128")->required();
  command.add_option("--compute", layer.compute, "How sums are taken: f32, bf16, i16 or i8")->capture_default_str();
  command.add_option("--activation", layer.activation, "none, relu, gelu, gelu_tanh or silu")->capture_default_str();
  command.add_flag("--bias", layer.bias, "Add a bias");
}

void addBench(CLI::App &app, BenchOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("bench", "Measure one kernel beside LibTorch's own and the machine's limits");
  command->require_subcommand(1);
  CLI::App *linear = command->add_subcommand("linear", "A linear layer");
  addLayer(*linear, options.layer);
  linear->get_option("--m")->required();
  linear->get_option("--n")->required();
  linear->get_option("--compute")->required();
  addDevice(*linear, options.device, "Where the layer runs: cpu or cuda");
  linear->add_option("--threads", options.threads, "Threads to use")->check(CLI::Range(1, 1024));
  addOutput(*linear, options.output);
  linear->callback(
      [&] { run = [&] { return withTorch([&](const TorchCommands &torch) { return torch.bench(options); }); }; });
}

void addExplain(CLI::App &app, ExplainOptions &options, Run &run) {
  CLI::App *command = app.add_subcommand("explain", "Show how a kernel is chosen, and its code at every stage");
  command->add_option("--op", options.layer.op, "linear, embedding, quantize or dequantize")->required();
  addLayer(*command, options.layer);
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
  ExplainOptions explain;
  CacheOptions cache;
  OutputOptions doctor;
  LoadKernelOptions loadKernel;
  Run run;
  addQuantize(app, quantize, run);
  addCompare(app, compare, run);
  addBench(app, bench, run);
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

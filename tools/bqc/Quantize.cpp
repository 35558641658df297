// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Convert.h"
#include "tools/bqc/BitSearch.h"
#include "tools/bqc/CalibratedLayers.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/KernelReport.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/QuantizeReport.h"
#include "tools/bqc/ReportPage.h"
#include "tools/bqc/TorchCommands.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <memory>
#include <string_view>
#include <utility>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

Expected<ConvertOptions> parseOptions(const QuantizeOptions &command) {
  ConvertOptions options;
  for (const std::string &text : command.formats) {
    Expected<FormatRule> rule = FormatRule::parse(text);
    if (!rule)
      return invalidArgument(fmt::format("--format {}: {}", text, rule.error().message));
    options.rules.push_back(std::move(*rule));
  }
  const Expected<Compute> compute = parseCompute(command.compute);
  if (!compute)
    return invalidArgument("--compute: " + compute.error().message);
  options.compute = *compute;
  options.include = command.include;
  options.exclude = command.exclude;
  return options;
}

bool endsWith(const std::string &text, std::string_view ending) {
  return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

/// The files that are written beside the model, each with the option that names it.
std::vector<std::pair<const char *, std::string>> otherFiles(const QuantizeOptions &command) {
  std::vector<std::pair<const char *, std::string>> files;
  for (const std::string &path : command.reports)
    files.emplace_back("--report", path);
  if (!command.calibration.results.empty())
    files.emplace_back("--results", command.calibration.results);
  return files;
}

/// Done where all files can be written, and none is an input or another one; else the exit code.
int checkPaths(const QuantizeOptions &command) {
  std::vector<std::string> inputs{command.in};
  if (!command.calibration.data.empty())
    inputs.push_back(command.calibration.data);
  if (Status status = checkOutputPath("-o", command.out, inputs); !status)
    return fail(status.error());
  std::vector<std::string> outputs{command.out};
  for (const auto &[option, path] : otherFiles(command)) {
    if (Status status = checkOutputPath(option, path, inputs); !status)
      return fail(status.error());
    for (const std::string &output : outputs)
      if (isSameFile(path, output))
        return failUsage(fmt::format("{} {}: is the file of {} too; give another name", option, path,
                                     output == command.out ? "the model" : "another result"));
    outputs.push_back(path);
  }
  return Done;
}

/// Decomposes, converts and saves. The report is complete then.
Status quantizeModel(const QuantizeOptions &command, torch::jit::Module &module, ConvertOptions &options,
                     CalibratedLayers *calibrated, ConvertReport &report) {
  if (calibrated) {
    calibrated->run();
    options.ready = calibrated->packed();
  }
  {
    Progress progress("quantize", command.output);
    options.progress = [&](const LayerReport &layer, size_t done, size_t total) {
      progress.step(done, total, layer.name, errorOf(layer));
    };
    report = convert(module, options);
  }
  Status saved = saveModel(module, command.out);
  if (!saved && calibrated)
    return ioError(fmt::format("{}; finished layers are in {}, --resume goes on from there", saved.error().message,
                               calibrated->journalPath()));
  return saved;
}

/// Everything that is written once the model is; the text of an error says that it is.
Status writeOthers(const QuantizeOptions &command, CalibratedLayers *calibrated, const Json &report) {
  Status written;
  if (calibrated && !command.dryRun && !command.calibration.results.empty()) {
    try {
      onebit::saveResults(command.calibration.results, calibrated->results());
    } catch (const c10::Error &error) {
      written = ioError("--results " + modelErrorText(error));
    }
  }
  for (const std::string &path : command.reports)
    if (written)
      written = writeOutputFile(path, endsWith(path, ".html") ? reportPage(report) : report.dump(2) + "\n");
  if (!written && !command.dryRun)
    return ioError(written.error().message + "; the model " + command.out + " is written");
  return written;
}

int quantizeChecked(const QuantizeOptions &command) {
  Expected<ConvertOptions> options = parseOptions(command);
  if (!options)
    return failUsage(options.error().message);
  const Expected<at::Device> device = openDevice(command.device);
  if (!device)
    return fail(device.error());
  if (device->is_cuda())
    options->device = *device;
  if (const int code = checkPaths(command); code != Done)
    return code;
  if (command.threads)
    at::set_num_threads(command.threads);
  Expected<torch::jit::Module> module = loadModel(command.in);
  if (!module)
    return fail(module.error());

  const double start = now();
  BitPlan bits;
  if (command.targetBits > 0) {
    Expected<BitPlan> plan = searchBits(command, *options);
    if (!plan)
      return fail(plan.error());
    bits = std::move(*plan);
    options->rules = bits.rules;
    options->ready = bits.weights;
  }
  ConvertReport report = planConversion(*module, *options);
  std::unique_ptr<CalibratedLayers> calibrated;
  if (!command.calibration.data.empty() && command.targetBits == 0) {
    Expected<std::unique_ptr<CalibratedLayers>> layers = CalibratedLayers::create(command, *module, report);
    if (!layers)
      return fail(layers.error());
    calibrated = std::move(*layers);
  }
  if (!command.output.json) {
    printPlan(report);
    if (command.targetBits > 0)
      fmt::print("bits      {:.3f} on average, expected error of the result {:.2e}\n", bits.meanBits,
                 bits.expectedError);
    if (calibrated)
      calibrated->printPlan();
    std::fflush(stdout);
  }
  if (!command.dryRun)
    if (Status status = quantizeModel(command, *module, *options, calibrated.get(), report); !status)
      return fail(status.error());

  Json object = toJson(command, report, calibrated.get());
  if (command.targetBits > 0)
    object["bits"] = {{"target", command.targetBits}, {"mean", bits.meanBits}, {"expected_error", bits.expectedError}};
  if (!command.dryRun) {
    object["out_file_bytes"] = fileSize(command.out);
    object["seconds"] = now() - start;
    object["kernels"] = kernelReport();
    if (!command.output.json)
      printResult(command, report, calibrated.get(), now() - start);
  }
  if (Status status = writeOthers(command, calibrated.get(), object); !status)
    return fail(status.error());
  if (calibrated && !command.dryRun)
    calibrated->removeJournal();
  if (command.output.json)
    fmt::print("{}\n", object.dump(2));
  return Done;
}

} // namespace

int cli::runQuantize(const QuantizeOptions &command) {
  try {
    return quantizeChecked(command);
  } catch (const std::exception &error) {
    return fail(fmt::format("{}: {}", command.in, modelErrorText(error)));
  }
}

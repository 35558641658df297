// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/TorchCommands.h"
#include "tools/bqc/distill/DistillReport.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <unistd.h>

#include <cmath>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

Status checkFiles(const DistillOptions &options) {
  std::vector<std::string> inputs{options.teacher, options.data};
  if (!options.test.empty())
    inputs.push_back(options.test);
  if (Status status = checkOutputPath("-o", options.out, inputs); !status)
    return status;
  for (const auto &[name, path] :
       {std::pair("--report", options.report), std::pair("--checkpoint", options.checkpoint)}) {
    if (path.empty())
      continue;
    if (Status status = checkOutputPath(name, path, inputs); !status)
      return status;
    if (isSameFile(path, options.out))
      return invalidArgument(fmt::format("{} {}: is the file of the model too; give another name", name, path));
  }
  if (!options.checkpoint.empty() && !options.report.empty() && isSameFile(options.checkpoint, options.report))
    return invalidArgument(
        fmt::format("--checkpoint {}: is the file of the report too; give another name", options.checkpoint));
  if (!options.checkpoint.empty() && !options.resume && access(options.checkpoint.c_str(), F_OK) == 0)
    return invalidArgument(fmt::format("--checkpoint {}: is there already; --resume goes on from it, or give another "
                                       "name",
                                       options.checkpoint));
  return {};
}

/// The decompositions to start from, judged where there are test inputs.
Status begin(Distiller &distiller) {
  Progress progress("decompose", distiller.options.output);
  OneBitRunOptions run;
  run.onLayer = [&](const std::string &layer, const OneBitResult &, size_t done, size_t total) {
    progress.step(done, total, layer, "");
  };
  const auto judge = [&](const char *name) -> Status {
    if (distiller.test.empty())
      return {};
    const Expected<Agreement> agreement = distiller.judgeStudent();
    if (!agreement)
      return agreement.error();
    distiller.results[name] = toJson(*agreement);
    return {};
  };
  // Beside a calibrated one, only for comparison.
  if (!distiller.options.calibrate || !distiller.test.empty()) {
    distiller.start(0, {});
    if (Status status = judge("plain"); !status)
      return status;
  }
  if (!distiller.options.calibrate)
    return {};
  distiller.start(distiller.options.calibrate, run);
  return judge("calibrated");
}

/// All steps that are left; the seconds they took.
Expected<double> train(Distiller &distiller) {
  const DistillOptions &options = distiller.options;
  Progress progress("distill", options.output);
  const double start = now();
  const size_t before = distiller.history.size();
  const bool onTerminal = isatty(STDERR_FILENO);
  while (!distiller.total || static_cast<int64_t>(distiller.history.size()) < distiller.total) {
    const Expected<DistillLoss> loss = distiller.step();
    if (!loss)
      return loss.error();
    const auto done = static_cast<int64_t>(distiller.history.size());
    if (!distiller.total && done == Distiller::warmup) {
      const double step = (now() - start) / static_cast<double>(done - before);
      distiller.total = std::max<int64_t>(std::llround(options.minutes * 60 / step), Distiller::warmup + 1);
    }
    const int64_t total = distiller.total;
    if (onTerminal || done == total || (total && done % std::max<int64_t>(total / 100, 1) == 0))
      progress.step(done, total ? total : done, fmt::format("loss {:.4f}  layers {:.4f}", loss->output, loss->hidden),
                    "");
    if (!options.checkpoint.empty() && total && (done % options.checkpointSteps == 0 || done == total))
      if (Status status = distiller.save(); !status)
        return status.error();
  }
  return now() - start;
}

/// Judges the student by the training path and on packed kernels, and writes the model.
Status finish(Distiller &distiller) {
  torch::jit::Module packed = distiller.student->toScript();
  if (!distiller.test.empty()) {
    const Expected<Agreement> trained = distiller.judgeStudent();
    if (!trained)
      return trained.error();
    const Expected<Agreement> kernels = distiller.judge(packed);
    if (!kernels)
      return kernels.error();
    distiller.results["trained"] = toJson(*trained);
    distiller.results["packed"] = toJson(*kernels);
    distiller.results["kernel_difference"] = distiller.differenceTo(packed);
  }
  return saveModel(packed, distiller.options.out);
}

} // namespace

int cli::runDistill(const DistillOptions &options) {
  if (Status status = checkFiles(options); !status)
    return fail(status.error());
  at::set_num_threads(options.threads);
  Expected<Distiller> distiller = Distiller::create(options);
  if (!distiller)
    return fail(distiller.error());
  if (options.resume)
    if (Status status = distiller->resume(); !status)
      return fail(status.error());
  if (!options.output.json)
    printPlan(*distiller);
  if (options.dryRun) {
    if (options.output.json)
      fmt::print("{}\n", planJson(*distiller).dump(2));
    return Done;
  }
  std::fflush(stdout);
  if (!options.resume)
    if (Status status = begin(*distiller); !status)
      return fail(status.error());
  const Expected<double> seconds = train(*distiller);
  if (!seconds)
    return fail(seconds.error());
  if (Status status = finish(*distiller); !status)
    return fail(status.error());

  Json report = reportJson(*distiller);
  report["seconds"] = *seconds;
  report["out_file_bytes"] = fileSize(options.out);
  if (!options.report.empty())
    if (Status status = writeOutputFile(options.report, report.dump(2) + "\n"); !status)
      return fail(status.error());
  if (options.output.json) {
    fmt::print("{}\n", report.dump(2));
    return Done;
  }
  printReport(report);
  fmt::print("time      {:.1f} s for {} steps\n", *seconds, distiller->history.size());
  fmt::print("file      {}  {}\n", sizeText(fileSize(options.out)), options.out);
  return Done;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/TorchCommands.h"
#include "tools/bqc/train/BitReport.h"
#include "tools/bqc/train/Checkpoint.h"
#include "tools/bqc/train/Settings.h"
#include "tools/bqc/train/TrainReport.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <unistd.h>

#include <optional>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// Every file that the run reads.
std::vector<std::string> inputsOf(const TrainOptions &options) {
  return {options.data == "digits" ? digitsPath() : options.data, options.model};
}

Status checkFiles(const TrainOptions &options) {
  if (!options.out.empty())
    if (Status status = checkOutputPath("-o", options.out, inputsOf(options)); !status)
      return status;
  if (!options.report.empty())
    if (Status status = checkOutputPath("--report", options.report, inputsOf(options)); !status)
      return status;
  if (options.checkpoint.empty())
    return {};
  if (Status status = checkOutputPath("--checkpoint", options.checkpoint, inputsOf(options)); !status)
    return status;
  if (!options.out.empty() && isSameFile(options.out, options.checkpoint))
    return invalidArgument(
        fmt::format("--checkpoint {}: is the file of the model too; give another name", options.checkpoint));
  if (!options.resume && access(options.checkpoint.c_str(), F_OK) == 0)
    return invalidArgument(fmt::format("--checkpoint {}: is there already; --resume goes on from it, or give another "
                                       "name",
                                       options.checkpoint));
  return {};
}

/// The run as its options and its checkpoint say, before its next epoch.
Expected<Trainer> openRun(TrainOptions options) {
  std::optional<Checkpoint> checkpoint;
  if (options.resume) {
    Expected<Checkpoint> read = Checkpoint::read(options.checkpoint);
    if (!read)
      return read.error();
    if (Status status = restoreSettings(options, read->settings(), options.checkpoint); !status)
      return status.error();
    checkpoint = std::move(*read);
  }
  if (Status status = checkFiles(options); !status)
    return status.error();
  at::set_num_threads(options.threads);
  Expected<Trainer> trainer = Trainer::open(options);
  if (trainer && checkpoint)
    if (Status status = checkpoint->restore(*trainer); !status)
      return status.error();
  return trainer;
}

/// All epochs that are left; the seconds they took.
Expected<double> runEpochs(Trainer &trainer) {
  const TrainOptions &options = trainer.options;
  // That of learned bits changes with the epochs.
  const std::string size = trainer.bits ? "" : sizeText(bytesOf(*trainer.model).packed);
  Progress progress("train", options.output);
  double seconds = 0;
  while (static_cast<int64_t>(trainer.history.size()) < options.epochs) {
    const double start = now();
    const Expected<EpochResult> result = trainer.runEpoch();
    seconds += now() - start;
    if (!result)
      return result.error();
    if (!options.checkpoint.empty())
      if (Status status = saveCheckpoint(trainer, options.checkpoint); !status)
        return status.error();
    progress.step(trainer.history.size(), options.epochs, str(*result), size);
  }
  return seconds;
}

} // namespace

int cli::runTrain(const TrainOptions &given) {
  TrainOptions command = given;
  setQuantizerDefaults(command);
  if (Status status = checkSettings(command); !status)
    return failUsage(status.error().message);
  Expected<Trainer> trainer = openRun(command);
  if (!trainer)
    return fail(trainer.error());
  const size_t before = trainer->history.size();
  if (!command.output.json)
    printPlan(*trainer);
  if (command.dryRun) {
    if (command.output.json)
      fmt::print("{}\n", planJson(*trainer).dump(2));
    return Done;
  }
  std::fflush(stdout);
  const Expected<double> seconds = runEpochs(*trainer);
  if (!seconds)
    return fail(seconds.error());
  if (trainer->bits)
    trainer->bits->finish(*trainer->model);
  const Evaluation evaluation = evaluate(*trainer);
  const int64_t tested = trainer->data.test.x.size(0);
  const double steps = static_cast<double>((trainer->history.size() - before) * trainer->stepsPerEpoch());

  Json object = planJson(*trainer);
  object["accuracy"] = evaluation.trained;
  object["packed_accuracy"] = evaluation.packed;
  object["same_class"] = evaluation.same;
  object["seconds"] = *seconds;
  object["steps_per_second"] = *seconds > 0 ? Json(steps / *seconds) : Json(nullptr);
  if (trainer->bits)
    object.update(bitsJson(*trainer));
  if (!command.report.empty())
    if (Status status = writeOutputFile(command.report, bitsPage(object)); !status)
      return fail(status.error());
  if (!trainer->options.out.empty()) {
    if (Status status = saveModel(trainer->model->toScript(), trainer->options.out); !status)
      return fail(status.error());
    object["out_file_bytes"] = fileSize(trainer->options.out);
  }
  if (command.output.json) {
    fmt::print("{}\n", object.dump(2));
    return Done;
  }
  if (trainer->bits)
    printBits(*trainer);
  fmt::print("accuracy  {:.2f} % by the training path, {:.2f} % by the packed kernels, {} of {} examples in the same "
             "class\n",
             100 * evaluation.trained, 100 * evaluation.packed, evaluation.same, tested);
  fmt::print("time      {:.1f} s\n", *seconds);
  if (!trainer->options.out.empty())
    fmt::print("file      {}  {}\n", sizeText(fileSize(trainer->options.out)), trainer->options.out);
  return Done;
}

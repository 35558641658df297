// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/distill/Distiller.h"

#include "tools/bqc/CheckpointFile.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/distill/Losses.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

using at::Tensor;

namespace {

constexpr CheckpointKind checkpointKind{"bqc distill", "bqc distillation 1"};

/// Learning rates of factors and of all other tensors, as parts of that of latent weights: these are in units of their
/// own magnitude, and a sign has to cross zero.
constexpr double factorRate = 0.1, otherRate = 0.01;

/// What has to be the same when a run goes on.
Json settingsOf(const DistillOptions &options) {
  return {{"teacher", options.teacher},
          {"data", options.data},
          {"test", options.test},
          {"include", options.include},
          {"exclude", options.exclude},
          {"compute", options.compute},
          {"loss", options.loss},
          {"output-weight", options.outputWeight},
          {"hidden-weight", options.hiddenWeight},
          {"calibrate", options.calibrate},
          {"lr", options.lr},
          {"epochs", options.epochs},
          {"steps", options.steps},
          {"minutes", options.minutes},
          {"seed", options.seed},
          {"threads", options.threads}};
}

Expected<ConvertOptions> conversionOf(const DistillOptions &options) {
  const Expected<Compute> compute = parseCompute(options.compute);
  if (!compute)
    return invalidArgument("--compute: " + compute.error().message);
  ConvertOptions conversion;
  conversion.rules = {*FormatRule::parse("sign")};
  conversion.compute = *compute;
  conversion.include = options.include;
  conversion.exclude = options.exclude;
  return conversion;
}

Status checkNumbers(const DistillOptions &options) {
  if (!(options.lr > 0) || !std::isfinite(options.lr))
    return invalidArgument(fmt::format("--lr {}: expected a number above 0", options.lr));
  for (const auto &[name, weight] :
       {std::pair("--output-weight", options.outputWeight), std::pair("--hidden-weight", options.hiddenWeight)})
    if (!(weight >= 0) || !std::isfinite(weight))
      return invalidArgument(fmt::format("{} {}: expected 0 or more", name, weight));
  if (options.outputWeight + options.hiddenWeight == 0)
    return invalidArgument("--output-weight and --hidden-weight are both 0: there is nothing to train for");
  return {};
}

Expected<Tensor> rowsOf(torch::jit::Module &model, const std::vector<ModelInputs> &inputs) {
  std::vector<Tensor> rows;
  for (const ModelInputs &input : inputs) {
    Expected<Tensor> result = outputRows(model.forward(input));
    if (!result)
      return result.error();
    rows.push_back(std::move(*result));
  }
  return at::cat(rows);
}

} // namespace

Expected<Distiller> Distiller::create(const DistillOptions &options) {
  if (Status status = checkNumbers(options); !status)
    return status.error();
  const Expected<ConvertOptions> conversion = conversionOf(options);
  if (!conversion)
    return conversion.error();
  Distiller distiller;
  distiller.options = options;
  Expected<torch::jit::Module> teacher = loadModel(options.teacher);
  if (!teacher)
    return teacher.error();
  distiller.teacher = std::move(*teacher);
  distiller.teacher.eval();
  Expected<std::vector<ModelInputs>> data = loadInputs("--data", options.data);
  if (!data)
    return data.error();
  distiller.data = std::move(*data);
  if (!options.test.empty()) {
    Expected<std::vector<ModelInputs>> test = loadInputs("--test", options.test);
    if (!test)
      return test.error();
    distiller.test = std::move(*test);
  }
  distiller.student = std::make_unique<Student>(distiller.teacher, *conversion);
  if (options.steps)
    distiller.total = options.steps;
  else if (!options.minutes)
    distiller.total = options.epochs * static_cast<int64_t>(distiller.data.size());
  return distiller;
}

void Distiller::start(int64_t inputs, const OneBitRunOptions &run) {
  const CalibrationData calibration{std::min(static_cast<size_t>(inputs), data.size()),
                                    inputs ? [&](size_t batch) { teacher.forward(data[batch]); }
                                           : std::function<void(size_t)>()};
  student->start(calibration, run);
  makeOptimizer();
}

void Distiller::makeOptimizer() {
  optim::DiodeMixOptions rule(options.lr);
  // The root of the second moment is that of the gradient, which is far below 1 in means over many outputs.
  rule.betas({0.9, 0.99}).eps(1e-12);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const std::vector<Tensor> &tensors : {student->latents(), student->factors(), student->others()})
    if (!tensors.empty())
      groups.emplace_back(tensors, std::make_unique<optim::DiodeMixOptions>(rule));
  optimizer = std::make_unique<optim::DiodeMix>(groups, rule);
}

double Distiller::rate() const {
  const auto step = static_cast<int64_t>(history.size());
  if (step < warmup)
    return static_cast<double>(step + 1) / static_cast<double>(warmup);
  return (1 + std::cos(std::acos(-1.0) * static_cast<double>(step - warmup) / static_cast<double>(total - warmup))) / 2;
}

const ModelInputs &Distiller::nextInputs() {
  const auto step = static_cast<int64_t>(history.size()), count = static_cast<int64_t>(data.size());
  if (orderEpoch != step / count) {
    orderEpoch = step / count;
    order = at::randperm(count, at::detail::createCPUGenerator(options.seed + orderEpoch));
  }
  return data[order[step % count].item<int64_t>()];
}

Expected<DistillLoss> Distiller::step() {
  const double factor = rate();
  const double rates[] = {1, factorRate, otherRate};
  for (size_t i = 0; i < optimizer->param_groups().size(); ++i)
    optimizer->param_groups()[i].options().set_lr(options.lr * factor * rates[i]);
  const ModelInputs &inputs = nextInputs();
  const bool hidden = options.hiddenWeight > 0;
  Tensor wanted;
  std::vector<LayerOutput> wantedOutputs, outputs;
  {
    const at::NoGradGuard noGrad;
    if (hidden)
      wantedOutputs = captureOutputs(student->teacherWeights(), [&] { wanted = resultRows(teacher.forward(inputs)); });
    else
      wanted = resultRows(teacher.forward(inputs));
  }
  optimizer->zero_grad();
  const Tensor rows = resultRows(student->forward(inputs, hidden ? &outputs : nullptr));
  const Tensor outputLoss = resultLoss(options.loss, rows, wanted);
  Tensor loss = options.outputWeight * outputLoss;
  DistillLoss losses{outputLoss.item<double>(), 0};
  if (hidden) {
    const Tensor between = hiddenLoss(outputs, wantedOutputs);
    losses.hidden = between.item<double>();
    loss = loss + options.hiddenWeight * between;
  }
  if (!std::isfinite(loss.item<double>()))
    return invalidArgument(fmt::format("step {}: the loss is {}; a smaller --lr than {} may keep it finite",
                                       history.size() + 1, loss.item<double>(), options.lr));
  loss.backward();
  optimizer->step();
  history.push_back(losses);
  return losses;
}

Expected<Agreement> Distiller::judge(torch::jit::Module &model) const {
  const c10::InferenceMode inference;
  torch::jit::Module reference = teacher;
  const Expected<Tensor> wanted = rowsOf(reference, test);
  if (!wanted)
    return wanted.error();
  const Expected<Tensor> rows = rowsOf(model, test);
  return rows ? compareRows(*wanted, *rows) : Expected<Agreement>(rows.error());
}

Expected<Agreement> Distiller::judgeStudent() {
  const at::NoGradGuard noGrad;
  std::vector<Tensor> wanted, rows;
  for (const ModelInputs &inputs : test) {
    wanted.push_back(resultRows(teacher.forward(inputs)).to(at::kDouble));
    rows.push_back(resultRows(student->forward(inputs)).to(at::kDouble));
  }
  return compareRows(at::cat(wanted), at::cat(rows));
}

double Distiller::differenceTo(torch::jit::Module &model) {
  const at::NoGradGuard noGrad;
  double difference = 0;
  for (const ModelInputs &inputs : test) {
    const Tensor rows = resultRows(student->forward(inputs)), other = resultRows(model.forward(inputs));
    difference = std::max(difference, (rows - other).abs().max().item<double>());
  }
  return difference;
}

std::vector<double> Distiller::layerErrors() {
  const at::NoGradGuard noGrad;
  if (test.empty())
    return {};
  const std::vector<Tensor> weights = student->teacherWeights();
  std::vector<double> sums(weights.size());
  std::vector<int64_t> calls(weights.size());
  for (const ModelInputs &inputs : test) {
    std::vector<LayerOutput> outputs;
    const std::vector<LayerOutput> wanted = captureOutputs(weights, [&] { teacher.forward(inputs); });
    student->forward(inputs, &outputs);
    hiddenLoss(outputs, wanted);
    for (size_t i = 0; i < outputs.size(); ++i) {
      sums[outputs[i].layer] += relativeError(outputs[i].value, wanted[i].value).item<double>();
      ++calls[outputs[i].layer];
    }
  }
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] /= static_cast<double>(std::max<int64_t>(calls[i], 1));
  return sums;
}

Status Distiller::save() const {
  Json header{{"settings", settingsOf(options)}, {"inputs", data.size()}, {"total", total}, {"results", results}};
  for (const DistillLoss &loss : history) {
    header["output"].push_back(loss.output);
    header["hidden"].push_back(loss.hidden);
  }
  torch::serialize::OutputArchive archive;
  savePart(archive, "student", *student);
  savePart(archive, "optimizer", *optimizer);
  return CheckpointFile::write(checkpointKind, header, archive, options.checkpoint);
}

Status Distiller::resume() {
  const Expected<CheckpointFile> file = CheckpointFile::read(checkpointKind, options.checkpoint);
  if (!file)
    return file.error();
  const Json own = settingsOf(options);
  for (const auto &[name, value] : file->header["settings"].items())
    if (own.value(name, Json()) != value)
      return invalidArgument(
          fmt::format("--resume: the run of --checkpoint {} has --{} {}, now it is {}; give the same "
                      "options, or begin a new run with another file",
                      options.checkpoint, name, value.dump(), own.value(name, Json()).dump()));
  if (file->header["inputs"] != data.size())
    return invalidArgument(fmt::format("--data {}: has {} inputs, it had {} when --checkpoint {} was written",
                                       options.data, data.size(), file->header["inputs"].dump(), options.checkpoint));
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(file->archive.data(), file->archive.size());
    loadPart(archive, "student", *student);
    makeOptimizer();
    loadPart(archive, "optimizer", *optimizer);
  } catch (const std::exception &error) {
    return invalidArgument(
        fmt::format("--checkpoint {}: does not fit this model: {}", options.checkpoint, modelErrorText(error)));
  }
  total = file->header["total"];
  results = file->header["results"];
  for (size_t i = 0; i < file->header["output"].size(); ++i)
    history.push_back({file->header["output"][i], file->header["hidden"][i]});
  return {};
}

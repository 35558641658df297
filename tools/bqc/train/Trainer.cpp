// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Trainer.h"

#include "tools/bqc/train/Optimizers.h"
#include "tools/bqc/train/Schedule.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::cli;

namespace {

/// Of all groups but that of the bits, which is the last where there is one.
void setLearningRates(Trainer &trainer, double factor) {
  auto &groups = trainer.optimizer->param_groups();
  for (size_t index = 0; index < groups.size(); ++index)
    groups[index].options().set_lr(
        factor * (trainer.bits && index + 1 == groups.size() ? trainer.options.bitsLr : trainer.options.lr));
}

} // namespace

Trainer::Trainer(TrainOptions options, Split data) : options(std::move(options)), data(std::move(data)) {}

Expected<Trainer> Trainer::open(const TrainOptions &options) {
  const Expected<DataSet> data = loadDataSet(options);
  if (!data)
    return data.error();
  Expected<Split> split = splitData(*data, options.testShare, options.seed);
  if (!split)
    return split.error();
  Trainer trainer(options, std::move(*split));
  torch::manual_seed(options.seed);
  Expected<std::shared_ptr<TrainModel>> model = makeTrainModel(options, trainer.data.train);
  if (!model)
    return model.error();
  trainer.model = std::move(*model);
  trainer.optimizer = makeOptimizer(options, *trainer.model);
  if (options.quantizer == "diffq") {
    Expected<std::unique_ptr<BitTraining>> bits = BitTraining::create(options, *trainer.model, *trainer.optimizer);
    if (!bits)
      return bits.error();
    trainer.bits = std::move(*bits);
  }
  trainer.order = at::detail::createCPUGenerator(options.seed);
  return trainer;
}

int64_t Trainer::stepsPerEpoch() const { return std::max<int64_t>(1, data.train.x.size(0) / options.batch); }

double Trainer::step(const at::Tensor &rows) {
  optimizer->zero_grad();
  WeightScope scope = bits ? bits->weights() : WeightScope();
  const at::Tensor logits = model->forward(data.train.x.index_select(0, rows));
  const at::Tensor loss = torch::nn::functional::cross_entropy(logits, data.train.y.index_select(0, rows));
  (bits ? loss + bits->cost() : loss).backward();
  scope.close();
  const double value = loss.item<double>();
  // A gradient of NaN would spoil every weight.
  if (std::isfinite(value))
    optimizer->step();
  if (bits)
    bits->steer();
  return value;
}

Expected<EpochResult> Trainer::runEpoch() {
  model->train();
  const auto epoch = static_cast<int64_t>(history.size());
  const int64_t examples = data.train.x.size(0), steps = stepsPerEpoch();
  const std::vector<at::Tensor> batches = at::randperm(examples, order).tensor_split(steps);
  double sum = 0;
  for (int64_t index = 0; index < steps; ++index) {
    setLearningRates(*this, scheduleFactor(options.schedule, epoch * steps + index, options.epochs * steps));
    const double loss = step(batches[index]);
    if (!std::isfinite(loss))
      return invalidArgument(fmt::format("epoch {}, step {}: the loss is {}; a smaller --lr than {} may keep it finite",
                                         epoch + 1, index + 1, loss, options.lr));
    sum += loss * static_cast<double>(batches[index].size(0));
  }
  EpochResult result{sum / static_cast<double>(examples)};
  const WeightScope rounded = bits ? bits->quantizer.quantizedWeights() : WeightScope();
  result.accuracy = accuracyOf(classify(*model, data.test.x, false), data.test);
  if (bits) {
    result.size = bits->size();
    result.bits = bits->meanBits();
  }
  history.push_back(result);
  return result;
}

at::Tensor cli::classify(TrainModel &model, const at::Tensor &x, bool packed) {
  const torch::NoGradGuard noGradient;
  model.eval();
  constexpr int64_t batch = 256;
  std::vector<at::Tensor> classes;
  for (const at::Tensor &part : x.split(batch))
    classes.push_back((packed ? model.forwardPacked(part) : model.forward(part)).argmax(1));
  return at::cat(classes);
}

double cli::accuracyOf(const at::Tensor &classes, const DataSet &data) {
  return classes.eq(data.y).to(at::kDouble).mean().item<double>();
}

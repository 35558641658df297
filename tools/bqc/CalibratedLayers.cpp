// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/CalibratedLayers.h"

#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/Progress.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

OneBitOptions quantizerOptions(const CalibrationOptions &calibration) {
  return OneBitOptions()
      .iters(calibration.rounds)
      .use_importance_scaling(!calibration.noImportance)
      .use_balancing(!calibration.noBalancing)
      .hessian_dtype(calibration.hessian == "f64" ? at::kDouble : at::kFloat)
      .calc_quant_error(true);
}

/// Of a file's bytes; the file has been read before.
std::string hashOf(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t *)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> bytes(size_t{1} << 20);
  while (stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size())), stream.gcount() > 0)
    XXH3_64bits_update(state.get(), bytes.data(), static_cast<size_t>(stream.gcount()));
  return fmt::format("{:016x}", XXH3_64bits_digest(state.get()));
}

/// Modules evaluate while it lives, and are as they were afterwards.
class EvaluationMode {
public:
  explicit EvaluationMode(const torch::jit::Module &model) {
    for (const torch::jit::Module &module : model.modules()) {
      const auto slot = module._ivalue()->type()->findAttributeSlot("training");
      if (!slot)
        continue;
      before.push_back({module._ivalue(), *slot, module._ivalue()->getSlot(*slot)});
      module._ivalue()->setSlot(*slot, false);
    }
  }
  EvaluationMode(const EvaluationMode &) = delete;
  EvaluationMode &operator=(const EvaluationMode &) = delete;
  ~EvaluationMode() {
    for (const Flag &flag : before)
      flag.object->setSlot(flag.slot, flag.value);
  }

private:
  struct Flag {
    c10::intrusive_ptr<c10::ivalue::Object> object;
    size_t slot;
    c10::IValue value;
  };
  std::vector<Flag> before;
};

/// The part of the output, or of the weight where inputs were not measured, that is lost.
std::string errorText(const OneBitResult &result) {
  const auto part = [](const std::optional<onebit::SquaredError> &error) {
    return error && error->relative ? fmt::format("{:.3f}", std::sqrt(*error->relative)) : "none";
  };
  return fmt::format("output error {}, weight error {}", part(result.outputError), part(result.weightError));
}

} // namespace

CalibratedLayers::CalibratedLayers(const QuantizeOptions &command, const torch::jit::Module &module)
    : command(command), module(module), journal(command.out + ".journal"),
      quantizer(quantizerOptions(command.calibration)) {}

Expected<std::unique_ptr<CalibratedLayers>>
CalibratedLayers::create(const QuantizeOptions &command, const torch::jit::Module &module, const ConvertReport &plan) {
  std::unique_ptr<CalibratedLayers> layers(new CalibratedLayers(command, module));
  std::vector<onebit::ModelLayer> chosen;
  for (const LayerReport &layer : plan.layers)
    if (layer.format.kind == Format::Kind::Sign && layer.op == "linear") {
      onebit::ModelLayer &added = chosen.emplace_back();
      added.name = layer.name;
      added.weight = layer.weight;
    }
  if (chosen.empty())
    return invalidArgument("--calibrate: no linear layer gets the format sign, which alone is calibrated; give it to "
                           "some, or leave the option out");
  Expected<std::vector<std::vector<c10::IValue>>> inputs = loadInputs("--calibrate", command.calibration.data);
  if (!inputs)
    return inputs.error();
  struct stat there{};
  if (!command.calibration.resume && stat(layers->journal.c_str(), &there) == 0)
    return invalidArgument(fmt::format("{}: the journal of a run that was stopped is there; --resume goes on from it, "
                                       "or remove it to begin again",
                                       layers->journal));
  layers->inputs = std::move(*inputs);
  layers->quantizer.setup(std::move(chosen));
  return Expected<std::unique_ptr<CalibratedLayers>>(std::move(layers));
}

onebit::Journal::Run CalibratedLayers::description() const {
  const CalibrationOptions &calibration = command.calibration;
  std::string names;
  for (const onebit::ModelLayer &layer : quantizer.layers())
    names += layer.name + "\n";
  return {
      {"model", hashOf(command.in)},
      {"calibration data", hashOf(calibration.data)},
      {"layers", fmt::format("{} of hash {:016x}", quantizer.layers().size(), XXH3_64bits(names.data(), names.size()))},
      {"--layer-by-layer", calibration.layerByLayer ? "yes" : "no"},
      {"--qep", calibration.qep ? "yes" : "no"},
      {"--hessian", calibration.hessian},
      {"--rounds", std::to_string(calibration.rounds)},
      {"--no-importance", calibration.noImportance ? "yes" : "no"},
      {"--no-balancing", calibration.noBalancing ? "yes" : "no"},
      // Sums depend on it.
      {"--threads", std::to_string(at::get_num_threads())}};
}

OneBitRunOptions CalibratedLayers::runOptions() const {
  OneBitRunOptions options;
  if (command.calibration.layerByLayer)
    options.order = CalibrationOrder::LayerByLayer;
  if (command.calibration.qep)
    options.qep.emplace();
  options.inputNoise = command.calibration.damping;
  return options;
}

void CalibratedLayers::printPlan() const {
  const OneBitMemory memory = quantizer.memory(runOptions());
  const bool isByLayer = command.calibration.layerByLayer || command.calibration.qep;
  fmt::print("calibrate {} layers with {} inputs, {}{}: {}\n", quantizer.layers().size(), inputs.size(),
             isByLayer ? "layer by layer" : "in one pass", command.calibration.qep ? " with adjusted weights" : "",
             quantizer.options.str());
  fmt::print("memory    about {} beside the model: {} of Hessians, {} of work on one layer\n",
             sizeText(memory.statistics + memory.work), sizeText(memory.statistics), sizeText(memory.work));
}

void CalibratedLayers::forward(size_t batch) {
  try {
    module.forward(inputs[batch]);
  } catch (const std::exception &error) {
    TORCH_CHECK(false, "--calibrate ", command.calibration.data, ": the model fails on input ", batch, ": ",
                modelErrorText(error));
  }
}

void CalibratedLayers::run() {
  const double start = now();
  const EvaluationMode evaluation(module);
  log = command.calibration.resume ? onebit::Journal::resume(journal, description())
                                   : onebit::Journal::begin(journal, description());
  resumed = log->finished().size();
  OneBitRunOptions options = runOptions();
  options.journal = &*log;
  Progress progress("calibrate", command.output);
  if (options.order == CalibrationOrder::Once && !options.qep)
    options.onBatch = [&](size_t done, size_t total) { progress.step(done, total, "inputs", ""); };
  options.onLayer = [&](const std::string &name, const OneBitResult &result, size_t done, size_t total) {
    progress.step(done, total, name, errorText(result));
  };
  try {
    quantizer.run({inputs.size(), [this](size_t batch) { forward(batch); }}, options);
  } catch (...) {
    if (!log->size())
      log->remove();
    throw;
  }
  seconds = now() - start;
}

std::map<std::string, c10::intrusive_ptr<PackedWeight>> CalibratedLayers::packed() const {
  std::map<std::string, c10::intrusive_ptr<PackedWeight>> weights;
  for (const auto &[name, result] : quantizer.results)
    weights[name] = result.pack();
  return weights;
}

Json CalibratedLayers::toJson() const {
  const OneBitMemory memory = quantizer.memory(runOptions());
  return {{"data", command.calibration.data},
          {"inputs", inputs.size()},
          {"layers", quantizer.layers().size()},
          {"from_journal", resumed},
          {"layer_by_layer", command.calibration.layerByLayer},
          {"qep", command.calibration.qep},
          {"damping", command.calibration.damping},
          {"method", quantizer.options.str()},
          {"hessian_bytes", memory.statistics},
          {"work_bytes", memory.work},
          {"seconds", seconds}};
}

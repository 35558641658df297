// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PackedWeight.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/KernelReport.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/Outputs.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/TorchCommands.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unordered_set>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

using Inputs = std::vector<std::vector<c10::IValue>>;

struct Model {
  std::string path;
  torch::jit::Module module;
  Samples milliseconds;
};

/// One pass over all inputs; the rows of all results.
Expected<at::Tensor> collectRows(Model &model, const Inputs &inputs) {
  std::vector<at::Tensor> rows;
  for (const std::vector<c10::IValue> &input : inputs) {
    Expected<at::Tensor> result = outputRows(model.module.forward(input));
    if (!result)
      return invalidArgument(fmt::format("{}: input {}: {}", model.path, rows.size(), result.error().message));
    if (!rows.empty() && result->size(1) != rows[0].size(1))
      return invalidArgument(fmt::format("{}: input {}: rows have {} values, those of input 0 have {}", model.path,
                                         rows.size(), result->size(1), rows[0].size(1)));
    rows.push_back(result->to(at::kCPU));
  }
  return at::cat(rows);
}

double timeOnce(Model &model, const Inputs &inputs, at::Device device) {
  const double start = now();
  for (const std::vector<c10::IValue> &input : inputs)
    model.module.forward(input);
  synchronize(device);
  return now() - start;
}

/// Interleaved, so that a change of the machine's speed meets both. TorchScript specialises itself in its first two
/// runs, of which finding the rows was one.
void measure(Model &a, Model &b, const Inputs &inputs, at::Device device) {
  constexpr int minRounds = 3, maxRounds = 1000;
  constexpr double seconds = 3;
  timeOnce(a, inputs, device);
  timeOnce(b, inputs, device);
  const double start = now();
  for (int round = 0; round < maxRounds && (round < minRounds || now() - start < seconds); ++round) {
    a.milliseconds.add(timeOnce(a, inputs, device) * 1e3);
    b.milliseconds.add(timeOnce(b, inputs, device) * 1e3);
  }
}

/// Bytes of a model's tensors and packed weights in memory as they are now.
int64_t weightBytes(const torch::jit::Module &module) {
  int64_t bytes = 0;
  std::unordered_set<const void *> seen;
  for (const torch::jit::NameValue &attribute : module.named_attributes()) {
    if (attribute.value.isTensor()) {
      const c10::Storage &storage = attribute.value.toTensor().storage();
      if (seen.insert(storage.unsafeGetStorageImpl()).second)
        bytes += static_cast<int64_t>(storage.nbytes());
    } else if (attribute.value.isCustomClass() &&
               *attribute.value.type() == *c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>()) {
      const auto weight = attribute.value.toCustomClass<PackedWeight>();
      if (seen.insert(weight.get()).second)
        bytes += weight->residentBytes();
    }
  }
  return bytes;
}

Json toJson(const Model &a, const Model &b, const Inputs &inputs, const Agreement &agreement) {
  return {{"a", a.path},
          {"b", b.path},
          {"inputs", inputs.size()},
          {"rows", agreement.rows},
          {"threads", at::get_num_threads()},
          {"mean_cosine", agreement.meanCosine},
          {"min_cosine", agreement.minCosine},
          {"max_abs_err", agreement.maxAbsError},
          {"top10_overlap", agreement.top10 ? Json(*agreement.top10) : Json(nullptr)},
          {"a_ms", a.milliseconds.minimum()},
          {"b_ms", b.milliseconds.minimum()},
          {"a_median_ms", a.milliseconds.median()},
          {"b_median_ms", b.milliseconds.median()},
          {"rounds", a.milliseconds.size()},
          {"a_bytes", fileSize(a.path)},
          {"b_bytes", fileSize(b.path)},
          {"a_weight_bytes", weightBytes(a.module)},
          {"b_weight_bytes", weightBytes(b.module)},
          {"kernels", kernelReport()}};
}

void printText(const Json &json) {
  const auto bytes = [&](const char *key) { return sizeText(json[key].get<int64_t>()); };
  fmt::print("rows           {} from {} inputs, {} threads, {} rounds\n", json["rows"].get<int64_t>(),
             json["inputs"].get<int64_t>(), json["threads"].get<int>(), json["rounds"].get<int64_t>());
  fmt::print("cosine         mean {:.6f}  min {:.6f}\n", json["mean_cosine"].get<double>(),
             json["min_cosine"].get<double>());
  fmt::print("max abs error  {:.3g}\n", json["max_abs_err"].get<double>());
  if (!json["top10_overlap"].is_null())
    fmt::print("top-10 same    {:.3f}\n", json["top10_overlap"].get<double>());
  fmt::print("time           A {:.3f} ms (median {:.3f})  B {:.3f} ms (median {:.3f})  {:.2f}x\n",
             json["a_ms"].get<double>(), json["a_median_ms"].get<double>(), json["b_ms"].get<double>(),
             json["b_median_ms"].get<double>(), json["a_ms"].get<double>() / json["b_ms"].get<double>());
  fmt::print("file           A {}  B {}\n", bytes("a_bytes"), bytes("b_bytes"));
  fmt::print("weights        A {}  B {}\n", bytes("a_weight_bytes"), bytes("b_weight_bytes"));
  const Json &kernels = json["kernels"];
  fmt::print("kernels        {} compiled in {:.1f} ms, {} from disk in {:.1f} ms\n", kernels["compiled"].get<int64_t>(),
             kernels["compile_ms"].get<double>(), kernels["from_disk"].get<int64_t>(),
             kernels["disk_load_ms"].get<double>());
}

} // namespace

int cli::runCompare(const CompareOptions &command) {
  const Expected<at::Device> device = openDevice(command.device);
  if (!device)
    return fail(device.error());
  const bool toFile = !command.jsonFile.empty() && command.jsonFile != "-";
  if (toFile)
    if (Status status = checkOutputPath("--json", command.jsonFile, {command.a, command.b, command.inputs}); !status)
      return fail(status.error());
  Expected<Inputs> inputs = loadInputs("--inputs", command.inputs);
  if (!inputs)
    return fail(inputs.error());
  Expected<torch::jit::Module> moduleA = loadModel(command.a);
  if (!moduleA)
    return fail(moduleA.error());
  Expected<torch::jit::Module> moduleB = loadModel(command.b);
  if (!moduleB)
    return fail(moduleB.error());
  moduleA->eval();
  moduleB->eval();
  if (command.threads)
    at::set_num_threads(command.threads);

  if (device->is_cuda()) {
    moduleA->to(*device);
    moduleB->to(*device);
    for (std::vector<c10::IValue> &input : *inputs)
      for (c10::IValue &value : input)
        value = value.deepcopy(*device);
  }

  const c10::InferenceMode inference;
  Model a{command.a, *moduleA, {}}, b{command.b, *moduleB, {}};
  Progress progress("compare", command.output);
  std::vector<at::Tensor> rows;
  for (Model *model : {&a, &b}) {
    try {
      Expected<at::Tensor> result = collectRows(*model, *inputs);
      if (!result)
        return fail(result.error());
      rows.push_back(std::move(*result));
    } catch (const std::exception &error) {
      return fail(fmt::format("{}: {}", model->path, modelErrorText(error)));
    }
    progress.step(rows.size(), 3, model->path, "");
  }
  const Expected<Agreement> agreement = compareRows(rows[0], rows[1]);
  if (!agreement)
    return fail(agreement.error());
  measure(a, b, *inputs, *device);
  progress.step(3, 3, "times", "");

  Json json = toJson(a, b, *inputs, *agreement);
  json["device"] = device->is_cuda() ? gpuName(*device) : "cpu";
  if (toFile) {
    if (Status status = writeOutputFile(command.jsonFile, json.dump(2) + "\n"); !status)
      return fail(status.error());
  } else if (command.output.json) {
    fmt::print("{}\n", json.dump(2));
    return Done;
  }
  printText(json);
  return Done;
}

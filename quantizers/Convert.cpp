// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Convert.h"

#include "quantizers/FormatRules.h"
#include "quantizers/ModelGraph.h"
#include "quantizers/Quantize.h"
#include "quantizers/RebuildModel.h"
#include "quantizers/Tensors.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

using namespace bq;

int64_t ConvertReport::floatBytes() const {
  int64_t sum = 0;
  for (const LayerReport &layer : layers)
    sum += layer.floatBytes;
  for (const KeptTensor &tensor : kept)
    sum += tensor.bytes;
  return sum;
}

int64_t ConvertReport::bytes() const {
  int64_t sum = 0;
  for (const LayerReport &layer : layers)
    sum += layer.bytes;
  for (const KeptTensor &tensor : kept)
    sum += tensor.bytes;
  return sum;
}

namespace {

std::string namesOf(const WeightSite &site) {
  std::string names;
  for (const WeightSite::Place &place : site.places)
    names += (names.empty() ? "" : ", ") + place.name;
  return names;
}

std::string opName(LayerOp op) {
  return op == LayerOp::Linear ? "linear" : op == LayerOp::Embedding ? "embedding" : "conv2d";
}

/// Bytes of canonical codes, scales of the weight's type, and zero points.
int64_t canonicalBytes(const Format &format, const at::Tensor &weight) {
  const auto [n, k] = matrixShape("bq::convert", weight.sizes());
  const int64_t groups = format.groupCount(k);
  int64_t scales = format.hasColumnScale() ? n + k : n * groups;
  return n * format.rowBytes(k) + scales * static_cast<int64_t>(weight.element_size()) +
         (format.hasZeroPoints() ? n * groups : 0);
}

struct Plan {
  /// Holds pointers into the model.
  ModelGraph graph;
  std::vector<const WeightSite *> sites; ///< Those to replace, in the order of report.layers.
  ConvertReport report;
};

void checkWeightOf(const WeightSite &site) {
  const at::Tensor &weight = site.weight;
  std::string names = namesOf(site);
  TORCH_CHECK(weight.device().is_cpu(), "layer '", names, "': expected its weight on cpu, got ", weight.device());
  at::ScalarType type = weight.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kHalf || type == at::kBFloat16, "layer '", names, "': its weight ",
              shapeText(weight.sizes()), " is ", type, ": use Float, Half or BFloat16");
  TORCH_CHECK(at::isfinite(weight).all().item<bool>(), "layer '", names, "': its weight ", shapeText(weight.sizes()),
              " holds NaN or infinity");
}

/// What is ready must be what the plan asks for.
void checkReady(const ConvertReport &report, const ConvertOptions &options) {
  for (const auto &[name, weight] : options.ready) {
    const auto layer = std::find_if(report.layers.begin(), report.layers.end(),
                                    [&](const LayerReport &candidate) { return candidate.name == name; });
    TORCH_CHECK(layer != report.layers.end(), "a weight is ready for '", name, "', which is no layer of the plan");
    TORCH_CHECK(weight->format() == layer->format && weight->shape() == layer->shape, "layer '", name,
                "': the weight that is ready is ", weight->format().str(), " ", shapeText(weight->shape()),
                ", the plan has ", layer->format.str(), " ", shapeText(layer->shape));
  }
}

/// The choice for a weight that several layers share: one for all of them.
const RuleChoice &commonChoice(const WeightSite &site, const RuleChoice *choices) {
  for (size_t i = 1; i < site.places.size(); ++i) {
    auto text = [](const RuleChoice &choice) { return choice.format ? choice.format->str() : "no format"; };
    TORCH_CHECK(text(choices[0]) == text(choices[i]), "layers '", site.places[0].name, "' and '", site.places[i].name,
                "' share one weight, but the rules give ", text(choices[0]), " to the first and ", text(choices[i]),
                " to the second: give both the same, or exclude both");
  }
  return choices[0];
}

Plan makePlan(const torch::jit::Module &module, const ConvertOptions &options) {
  const c10::TypePtr packedType = c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>();
  Plan plan{ModelGraph(module), {}, {}};
  if (plan.graph.weights().empty())
    for (const c10::IValue &value : module.attributes())
      TORCH_CHECK(!value.isCustomClass() || *value.type() != *packedType,
                  "every layer of the model is quantized already: start from the float model");
  std::vector<RuleSubject> subjects;
  for (const WeightSite &site : plan.graph.weights())
    for (const WeightSite::Place &place : site.places)
      subjects.push_back({place.name, site.op == LayerOp::Embedding, site.obstacle});
  std::vector<RuleChoice> choices = applyRules(subjects, options);

  std::unordered_map<const c10::TensorImpl *, std::string> keptReasons;
  std::unordered_set<const c10::TensorImpl *> replaced;
  const RuleChoice *next = choices.data();
  for (const WeightSite &site : plan.graph.weights()) {
    const RuleChoice &choice = commonChoice(site, next);
    next += site.places.size();
    if (!choice.format) {
      keptReasons[site.weight.unsafeGetTensorImpl()] = choice.reason;
      continue;
    }
    checkWeightOf(site);
    replaced.insert(site.weight.unsafeGetTensorImpl());
    plan.sites.push_back(&site);
    LayerReport layer;
    layer.name = namesOf(site);
    layer.op = opName(site.op);
    layer.shape = site.weight.sizes().vec();
    layer.format = *choice.format;
    layer.compute = options.compute;
    layer.activation = site.activation;
    const auto ready = options.ready.find(layer.name);
    TORCH_CHECK(ready != options.ready.end() || !layer.format.isMixed(), "layer '", layer.name,
                "': ", layer.format.str(), " cannot be quantized to, the bits of its groups come from the caller");
    layer.bytes = ready != options.ready.end() ? ready->second->bytes() : canonicalBytes(layer.format, site.weight);
    layer.floatBytes = static_cast<int64_t>(site.weight.nbytes());
    plan.report.layers.push_back(std::move(layer));
  }
  checkReady(plan.report, options);
  for (const NamedTensor &named : plan.graph.tensors()) {
    const at::Tensor &tensor = named.tensor;
    if (!replaced.count(tensor.unsafeGetTensorImpl()))
      plan.report.kept.push_back({named.name, tensor.sizes().vec(), static_cast<int64_t>(tensor.nbytes()),
                                  keptReasons[tensor.unsafeGetTensorImpl()]});
  }
  return plan;
}

double frobeniusNorm(const at::Tensor &tensor) {
  return at::linalg_vector_norm(tensor, 2, std::nullopt, false, at::kDouble).item<double>();
}

/// Relative error of the weight in the layer's own type.
void measure(const at::Tensor &weight, const PackedWeight &packed, LayerReport &layer) {
  at::Tensor original = weight.to(at::kFloat);
  double whole = frobeniusNorm(original), error = frobeniusNorm(original - packed.dequantize(at::kFloat));
  layer.relativeError = whole > 0 ? error / whole : error;
  layer.sqnrDb = -20 * std::log10(*layer.relativeError);
}

} // namespace

ConvertReport bq::planConversion(const torch::jit::Module &module, const ConvertOptions &options) {
  at::NoGradGuard noGrad;
  Plan plan = makePlan(module, options);
  for (size_t i = 0; i < plan.sites.size(); ++i)
    plan.report.layers[i].weight = plan.sites[i]->weight;
  return std::move(plan.report);
}

ConvertReport bq::convert(torch::jit::Module &module, const ConvertOptions &options) {
  at::NoGradGuard noGrad;
  Plan plan = makePlan(module, options);
  std::vector<Replacement> replacements;
  for (size_t i = 0; i < plan.sites.size(); ++i) {
    LayerReport &layer = plan.report.layers[i];
    const at::Tensor &weight = plan.sites[i]->weight;
    const auto ready = options.ready.find(layer.name);
    c10::intrusive_ptr<PackedWeight> packed =
        ready != options.ready.end() ? ready->second : PackedWeight::quantize(weight, layer.format, options.device);
    layer.bytes = packed->bytes();
    measure(weight, *packed, layer);
    replacements.push_back({plan.sites[i], std::move(packed), options.compute});
    if (options.progress)
      options.progress(layer, i + 1, plan.sites.size());
  }
  module = rebuildModel(module, replacements);
  return std::move(plan.report);
}

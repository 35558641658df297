// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Tensors.h"
#include "quantizers/diffq/ModelQuantizer.h"
#include "quantizers/diffq/StateText.h"

#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include <set>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;
using Json = nlohmann::ordered_json;

namespace {

Tensor copyOf(const Tensor &tensor) { return tensor.detach().to(at::kCPU, tensor.scalar_type(), false, true); }

/// The tensor `name` of the state, of this type; marks it as taken.
class StateReader {
public:
  StateReader(const char *kind, const QuantizedState &state) : kind(kind), state(state) {
    for (const auto &entry : state.tensors)
      left.insert(entry.first);
  }

  bool has(const std::string &name) const { return state.tensors.count(name); }
  Tensor take(const std::string &name) {
    const auto found = state.tensors.find(name);
    TORCH_CHECK(found != state.tensors.end(), kind, ": the state has no '", name,
                "', which this model needs: it is of another model, or not whole");
    left.erase(name);
    return found->second;
  }
  Tensor take(const std::string &name, at::ScalarType type, at::IntArrayRef shape) {
    const Tensor tensor = take(name);
    TORCH_CHECK(tensor.scalar_type() == type && tensor.sizes() == shape, kind, ": '", name, "' of the state is ",
                toString(tensor.scalar_type()), " ", shapeText(tensor.sizes()), ", this model needs ", toString(type),
                " ", shapeText(shape));
    return tensor;
  }
  void checkEmpty() const {
    TORCH_CHECK(left.empty(), kind, ": the state has '", *left.begin(), "'",
                left.size() > 1 ? " and " + std::to_string(left.size() - 1) + " more tensors" : "",
                ", which this model has no place for: it is of another model");
  }

private:
  const char *kind;
  const QuantizedState &state;
  std::set<std::string> left;
};

MixedWeight readWeight(const char *kind, StateReader &reader, const std::string &name, const StateText &text,
                       at::IntArrayRef shape) {
  const auto found = text.weights.find(name);
  TORCH_CHECK(found != text.weights.end(), kind, ": the state has no quantized '", name,
              "', which this model needs: it is of another model, or was made with other options");
  const StateText::Weight &saved = found->second;
  TORCH_CHECK(at::IntArrayRef(saved.shape) == shape, kind, ": '", name, "' of the state is ", shapeText(saved.shape),
              ", this model needs ", shapeText(shape));
  const Tensor scales = reader.take(name + ".scales", at::kFloat, {2});
  try {
    if (text.packed)
      return {reader.take(name + ".codes"), scales, shape.vec(), saved.groupSize};
    return packMixed(reader.take(name + ".levels"), reader.take(name + ".bits"), scales[0].item<double>(),
                     scales[1].item<double>(), shape);
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, kind, ": '", name, "' of the state is damaged: ", error.what_without_backtrace());
  }
}

} // namespace

std::vector<ModelQuantizer::Kept> ModelQuantizer::keptTensors() const {
  std::vector<Kept> result;
  std::set<const c10::TensorImpl *> seen;
  const auto add = [&](const ModelTensor &tensor, const char *storage) {
    if (seen.insert(tensor.tensor.unsafeGetTensorImpl()).second)
      result.push_back({tensor.fullName(), storage, tensor.tensor});
  };
  for (const Selected &selected : kept)
    add(selected.parameter, selected.storage == Storage::Half ? "float16" : "other");
  for (const ModelTensor &buffer : model.buffers())
    add(buffer, "buffer");
  return result;
}

QuantizedState ModelQuantizer::getQuantizedState(bool packed) const {
  checkAttached();
  const at::NoGradGuard noGradient;
  QuantizedState state;
  StateText text{kind, optionsJson(), packed, {}, {}};
  for (const QuantizedParameter &entry : entries) {
    if (entry.boundTo) {
      text.bound[entry.name] = entries[*entry.boundTo].name;
      continue;
    }
    const MixedWeight weight = pack(entry, trueValue(entry.parameter));
    text.weights[entry.name] = {entry.parameter.sizes().vec(), weight.groupSize};
    state.tensors[entry.name + ".scales"] = weight.scales;
    if (packed) {
      state.tensors[entry.name + ".codes"] = weight.codes;
    } else {
      const MixedLevels levels = unpackMixed(weight);
      state.tensors[entry.name + ".levels"] = levels.levels;
      state.tensors[entry.name + ".bits"] = levels.bits;
    }
    if (savesScale())
      state.tensors[entry.name + ".scale"] = copyOf(entry.learned).reshape({1});
  }
  for (const Kept &tensor : keptTensors())
    state.tensors[tensor.name] =
        tensor.storage == "float16" ? copyOf(trueValue(tensor.tensor)).to(at::kHalf) : copyOf(tensor.tensor);
  state.metadata[StateText::key] = text.str();
  return state;
}

void ModelQuantizer::restoreQuantizedState(const QuantizedState &state) {
  checkUsable();
  const StateText text = StateText::parse(kind, state);
  TORCH_CHECK(text.kind == kind, kind, ": the state is of ", text.kind, ", expected one of ", kind);
  StateReader reader(kind, state);
  std::vector<std::pair<Tensor, Tensor>> values;
  std::vector<std::pair<Tensor, Tensor>> scales;
  for (const QuantizedParameter &entry : entries) {
    const auto bound = text.bound.find(entry.name);
    const std::string tied = bound == text.bound.end() ? "" : bound->second;
    const std::string mine = entry.boundTo ? entries[*entry.boundTo].name : "";
    TORCH_CHECK(tied == mine, kind, ": '", entry.name, "' of the state is ",
                tied.empty() ? "a tensor of its own" : "'" + tied + "'", ", in this model it is ",
                mine.empty() ? "a tensor of its own" : "'" + mine + "'");
    if (entry.boundTo)
      continue;
    const MixedWeight weight = readWeight(kind, reader, entry.name, text, entry.parameter.sizes());
    Tensor scale;
    if (savesScale()) {
      scale = reader.take(entry.name + ".scale", at::kFloat, {1}).reshape({});
      scales.emplace_back(entry.learned, scale);
    }
    try {
      values.emplace_back(entry.parameter, unpack(weight, scale));
    } catch (const c10::Error &error) {
      TORCH_CHECK(false, kind, ": '", entry.name, "' of the state is damaged: ", error.what_without_backtrace());
    }
  }
  for (const Kept &tensor : keptTensors()) {
    const at::ScalarType type = tensor.storage == "float16" ? at::kHalf : tensor.tensor.scalar_type();
    values.emplace_back(tensor.tensor, reader.take(tensor.name, type, tensor.tensor.sizes()));
  }
  reader.checkEmpty();
  unquantize();
  const at::NoGradGuard noGradient;
  values.insert(values.end(), scales.begin(), scales.end());
  for (const auto &[to, from] : values)
    to.copy_(from);
}

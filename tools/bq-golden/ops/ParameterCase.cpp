// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/ops/ParameterCase.h"

#include "tools/bq-golden/ops/GptqCase.h"

#include <cctype>

using namespace bq;
using namespace bq::golden;
using bq::nn::ParameterContents;
using bq::nn::ParameterKind;
using bq::nn::QuantizedParameter;

namespace {

ParameterKind kindOf(const std::string &name) {
  for (ParameterKind kind :
       {ParameterKind::NBitLinear, ParameterKind::NBitConv, ParameterKind::BinaryLinear, ParameterKind::BinaryConv}) {
    // Two of the package's own names start in lower case.
    std::string known(str(kind)), lower = known;
    lower[0] = static_cast<char>(std::tolower(lower[0]));
    if (name == known || name == lower)
      return kind;
  }
  TORCH_CHECK(false, "the kind of parameter '", name, "' is not known");
}

} // namespace

QuantizedParameter golden::integerParameter(const Case &given, ParameterKind linear, ParameterKind conv) {
  at::Tensor data = given.input("qweight");
  ParameterContents contents;
  contents.shape = data.sizes().vec();
  contents.upstreamCompatible = true;
  const ParameterKind kind =
      given.has("parameter") ? kindOf(given.text("parameter")) : (data.dim() == 4 ? conv : linear);
  return QuantizedParameter(data, kind, contents);
}

QuantizedParameter golden::mpqParameter(const Case &given) {
  ParameterContents contents;
  contents.gptq = gptqWeight(given);
  contents.shape = {contents.gptq.outFeatures(), contents.gptq.inFeatures};
  contents.upstreamCompatible = true;
  at::Tensor words = contents.gptq.words;
  contents.gptq.words = at::Tensor();
  return QuantizedParameter(words, ParameterKind::MpqWeight, contents);
}

ParameterTrace::ParameterTrace(const QuantizedParameter &parameter)
    : parameter(parameter), before(parameter.data().clone()) {}

void ParameterTrace::record() {
  flips.push_back(parameter.data().ne(before).sum().item<int64_t>());
  before = parameter.data().clone();
  weights.push_back(before);
  if (parameter.kind() == ParameterKind::MpqWeight)
    zeros.push_back(parameter.contents().gptq.zeros.clone());
}

void ParameterTrace::addTo(Results &results) const {
  if (!weights.empty())
    results.tensors["qweights"] = at::stack(weights);
  if (!zeros.empty())
    results.tensors["zeros"] = at::stack(zeros);
  results.values["flips_per_step"] = flips;
}

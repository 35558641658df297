// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/LayerSpec.h"

#include <fmt/format.h>

using namespace bq;
using namespace bq::cli;

Expected<KernelSpec> cli::parseLayer(const LayerOptions &layer) {
  const auto inOption = [](const char *option, const Error &error) {
    return invalidArgument(fmt::format("--{}: {}", option, error.message));
  };
  KernelSpec spec;
  if (layer.op == "linear")
    spec.op = KernelSpec::Op::Linear;
  else if (layer.op == "embedding")
    spec.op = KernelSpec::Op::Embedding;
  else if (layer.op == "quantize")
    spec.op = KernelSpec::Op::Quantize;
  else if (layer.op == "dequantize")
    spec.op = KernelSpec::Op::Dequantize;
  else
    return invalidArgument(
        fmt::format("--op: unknown op '{}', expected linear, embedding, quantize or dequantize", layer.op));
  const bool linear = spec.op == KernelSpec::Op::Linear;

  Expected<Format> format = Format::parse(layer.format);
  if (!format)
    return inOption("format", format.error());
  Expected<Compute> compute = parseCompute(layer.compute);
  if (!compute)
    return inOption("compute", compute.error());
  Expected<Activation> activation = parseActivation(layer.activation);
  if (!activation)
    return inOption("activation", activation.error());
  Expected<ElementType> dataType = parseElementType(layer.dataType);
  if (!dataType)
    return inOption("data-type", dataType.error());
  Expected<ElementType> scaleType = parseElementType(layer.scaleType);
  if (!scaleType)
    return inOption("scale-type", scaleType.error());
  if (linear && layer.n <= 0)
    return invalidArgument("--n: a linear layer needs its number of output features");

  spec.format = *format;
  spec.k = layer.k;
  spec.scaleType = *scaleType;
  spec.zeroType = format->hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  if (linear || spec.op == KernelSpec::Op::Quantize)
    spec.dataType = *dataType;
  if (linear) {
    spec.n = layer.n;
    spec.compute = *compute;
    spec.activation = *activation;
    spec.hasBias = layer.bias;
    spec.rows = KernelSpec::rowsFor(layer.m);
  }
  if (Status status = spec.verify(); !status)
    return status.error();
  return spec;
}

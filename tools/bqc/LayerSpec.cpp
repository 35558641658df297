// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/LayerSpec.h"

#include <fmt/format.h>

#include <charconv>
#include <tuple>

using namespace bq;
using namespace bq::cli;

/// One number for both, or two with an x between them.
static Status parsePair(std::array<int64_t, 2> &pair, const char *option, const std::string &text) {
  const char *end = text.data() + text.size();
  std::from_chars_result read = std::from_chars(text.data(), end, pair[0]);
  pair[1] = pair[0];
  if (read.ec == std::errc() && read.ptr != end && *read.ptr == 'x')
    read = std::from_chars(read.ptr + 1, end, pair[1]);
  if (read.ec == std::errc() && read.ptr == end)
    return {};
  return invalidArgument(fmt::format("--{}: '{}' is neither a number nor two as in 3x1", option, text));
}

Expected<Conv2dShape> cli::parseConv2d(const Conv2dOptions &options) {
  const std::pair<const char *, int64_t> needed[] = {{"channels", options.channels},
                                                     {"height", options.height},
                                                     {"width", options.width},
                                                     {"out-channels", options.outChannels}};
  for (auto [name, value] : needed)
    if (value < 1)
      return invalidArgument(fmt::format("--{}: a convolution needs it", name));
  Conv2dShape shape;
  shape.batch = options.batch;
  shape.channels = options.channels;
  shape.height = options.height;
  shape.width = options.width;
  shape.outChannels = options.outChannels;
  shape.groups = options.groups;
  const std::tuple<const char *, const std::string &, std::array<int64_t, 2> &> pairs[] = {
      {"kernel", options.kernel, shape.kernel},
      {"stride", options.stride, shape.stride},
      {"padding", options.padding, shape.padding},
      {"dilation", options.dilation, shape.dilation}};
  for (auto [name, text, pair] : pairs)
    if (Status status = parsePair(pair, name, text); !status)
      return status.error();
  if (Status status = shape.verify(); !status)
    return status.error();
  if (!shape.forward().pixels())
    return invalidArgument(fmt::format("--kernel: {} leaves no output of images of {} by {}; use a smaller one or more "
                                       "--padding",
                                       options.kernel, options.height, options.width));
  return shape;
}

Expected<KernelSpec> cli::parseLayer(const LayerOptions &layer, const Target &target) {
  const auto inOption = [](const char *option, const Error &error) {
    return invalidArgument(fmt::format("--{}: {}", option, error.message));
  };
  KernelSpec spec;
  if (layer.op == "linear")
    spec.op = KernelSpec::Op::Linear;
  else if (layer.op == "conv2d")
    spec.op = KernelSpec::Op::Conv2d;
  else if (layer.op == "embedding")
    spec.op = KernelSpec::Op::Embedding;
  else if (layer.op == "quantize")
    spec.op = KernelSpec::Op::Quantize;
  else if (layer.op == "dequantize")
    spec.op = KernelSpec::Op::Dequantize;
  else if (layer.op == "prepack")
    spec.op = KernelSpec::Op::Prepack;
  else
    return invalidArgument(fmt::format(
        "--op: unknown op '{}', expected linear, conv2d, embedding, quantize, dequantize or prepack", layer.op));
  const bool linear = spec.op == KernelSpec::Op::Linear, conv2d = spec.op == KernelSpec::Op::Conv2d;

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
  if (!conv2d && layer.k <= 0)
    return invalidArgument(fmt::format("--k: {} needs the number of columns of its weight", layer.op));

  spec.format = *format;
  spec.k = layer.k;
  spec.scaleType = *scaleType;
  spec.zeroType = format->hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  if (linear || conv2d || spec.op == KernelSpec::Op::Quantize)
    spec.dataType = *dataType;
  if (linear || conv2d) {
    spec.n = layer.n;
    spec.compute = *compute;
    spec.activation = *activation;
    spec.hasBias = layer.bias;
  }
  if (linear)
    spec.rows = kernelRows(target, layer.m);
  if (conv2d) {
    const Expected<Conv2dShape> shape = parseConv2d(layer.conv);
    if (!shape)
      return shape.error();
    spec.n = shape->groupOutputs();
    spec.k = shape->k();
    spec.kernelHeight = shape->kernel[0];
    spec.kernelWidth = shape->kernel[1];
  }
  if (Status status = spec.verify(); !status)
    return status.error();
  return spec;
}

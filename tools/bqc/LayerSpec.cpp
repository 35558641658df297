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

static Error inOption(const char *option, const Error &error) {
  return invalidArgument(fmt::format("--{}: {}", option, error.message));
}

/// The value of an option, or why it has none.
template <typename T>
static Status assign(T &field, const char *option, const Expected<T> &value) {
  if (!value)
    return inOption(option, value.error());
  field = *value;
  return {};
}

static Status setOp(KernelSpec &spec, const LayerOptions &layer) {
  using Op = KernelSpec::Op;
  static constexpr std::pair<const char *, Op> ops[] = {{"linear", Op::Linear},
                                                        {"linear_input_gradient", Op::LinearInputGradient},
                                                        {"conv2d", Op::Conv2d},
                                                        {"embedding", Op::Embedding},
                                                        {"quantize", Op::Quantize},
                                                        {"dequantize", Op::Dequantize},
                                                        {"prepack", Op::Prepack},
                                                        {"fake_quantize", Op::FakeQuantize},
                                                        {"fake_quantize_grad", Op::FakeQuantizeGrad},
                                                        {"update", Op::Update}};
  std::string accepted;
  for (auto [name, op] : ops) {
    if (layer.op == name) {
      // A type of numbers is no format: the weight is one of floats.
      spec.op = op == Op::Update && parseElementType(layer.format) ? Op::UpdateDense : op;
      return {};
    }
    accepted += (accepted.empty() ? "" : ", ") + std::string(name);
  }
  return invalidArgument(fmt::format("--op: unknown op '{}', expected one of {}", layer.op, accepted));
}

static Expected<KernelSpec> verified(const KernelSpec &spec) {
  if (Status status = spec.verify(); !status)
    return status.error();
  return spec;
}

/// An optimizer step: by adam, without moments along the gradient, and on signs by their own rule.
static Expected<KernelSpec> parseStep(KernelSpec spec, const LayerOptions &layer) {
  if (Status status = assign(spec.dataType, "data-type", parseElementType(layer.dataType)); !status)
    return status.error();
  if (Status status = assign(spec.moments, "moments", parseMomentType(layer.moments)); !status)
    return status.error();
  if (spec.moments == MomentType::None)
    spec.rule = UpdateRule::Direction;
  if (spec.op == KernelSpec::Op::UpdateDense) {
    spec.weightType = *parseElementType(layer.format);
    return verified(spec);
  }
  if (Status status = assign(spec.format, "format", Format::parse(layer.format)); !status)
    return status.error();
  if (layer.k <= 0)
    return invalidArgument("--k: update needs the number of columns of its weight");
  spec.k = layer.k;
  spec.zeroType = spec.format.hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  if (spec.format.kind == Format::Kind::Sign) {
    spec.rule = UpdateRule::SignMomentum;
    return verified(spec);
  }
  if (Status status = assign(spec.scaleType, "scale-type", parseElementType(layer.scaleType)); !status)
    return status.error();
  if (Status status = assign(spec.rounding, "rounding", parseRounding(layer.rounding)); !status)
    return status.error();
  if (Status status = assign(spec.scaling, "scaling", parseScaleUpdate(layer.scaling)); !status)
    return status.error();
  return verified(spec);
}

static Expected<KernelSpec> parseFakeQuantize(KernelSpec spec, const LayerOptions &layer) {
  if (Status status = assign(spec.format, "format", Format::parse(layer.format)); !status)
    return status.error();
  if (Status status = assign(spec.dataType, "data-type", parseElementType(layer.dataType)); !status)
    return status.error();
  spec.zeroType = spec.format.hasZeroPoints() ? ZeroPointType::F32 : ZeroPointType::None;
  return verified(spec);
}

Expected<KernelSpec> cli::parseLayer(const LayerOptions &layer, const Target &target) {
  KernelSpec spec;
  if (Status status = setOp(spec, layer); !status)
    return status.error();
  if (spec.op == KernelSpec::Op::Update || spec.op == KernelSpec::Op::UpdateDense)
    return parseStep(spec, layer);
  if (spec.op == KernelSpec::Op::FakeQuantize || spec.op == KernelSpec::Op::FakeQuantizeGrad)
    return parseFakeQuantize(spec, layer);
  const bool gradient = spec.op == KernelSpec::Op::LinearInputGradient, conv2d = spec.op == KernelSpec::Op::Conv2d;
  const bool linear = spec.op == KernelSpec::Op::Linear || gradient;

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
  spec.scaleType = format->isMixed() ? ElementType::F32 : *scaleType;
  spec.zeroType = format->hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  if (linear || conv2d || spec.op == KernelSpec::Op::Quantize)
    spec.dataType = *dataType;
  if (linear || conv2d) {
    spec.n = layer.n;
    spec.compute = *compute;
  }
  if ((linear && !gradient) || conv2d) {
    spec.activation = *activation;
    spec.hasBias = layer.bias;
  }
  if (linear)
    spec.rows = kernelRows(target, layer.m);
  if (conv2d) {
    const Expected<Conv2dShape> shape = parseConv2d(layer.conv);
    if (!shape)
      return shape.error();
    if (std::holds_alternative<CpuTarget>(target) && shape->isDirect() && !format->isMixed())
      spec.groups = shape->groups;
    spec.n = spec.groups * shape->groupOutputs();
    spec.k = shape->k();
    spec.kernelHeight = shape->kernel[0];
    spec.kernelWidth = shape->kernel[1];
  }
  if (Status status = spec.verify(); !status)
    return status.error();
  return spec;
}

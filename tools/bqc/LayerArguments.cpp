// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/LayerArguments.h"
#include "tools/bqc/Arguments.h"

using namespace bq;
using namespace bq::cli;

void cli::addLayer(CLI::App &command, LayerOptions &layer) {
  command.add_option("--format", layer.format, "Format of the weight, such as int4:g128")->required();
  command.add_option("--compute", layer.compute, "How sums are taken: f32, bf16, i16 or i8")->capture_default_str();
  command.add_option("--activation", layer.activation, "none, relu, gelu, gelu_tanh or silu")->capture_default_str();
  command.add_flag("--bias", layer.bias, "Add a bias");
}

static CLI::Range sizes() { return CLI::Range(int64_t{1}, greatestSize); }

void cli::addSizes(CLI::App &command, LayerOptions &layer) {
  command.add_option("--m", layer.m, "Rows of the input")->check(sizes())->capture_default_str();
  command.add_option("--n", layer.n, "Output features")->check(sizes());
  command.add_option("--k", layer.k, "Input features")->check(sizes());
}

void cli::addConv2dSizes(CLI::App &command, Conv2dOptions &conv) {
  command.add_option("--batch", conv.batch, "Images")->check(sizes())->capture_default_str();
  command.add_option("--channels", conv.channels, "Channels of the input")->check(sizes());
  command.add_option("--height", conv.height, "Height of the input")->check(sizes());
  command.add_option("--width", conv.width, "Width of the input")->check(sizes());
  command.add_option("--out-channels", conv.outChannels, "Channels of the output")->check(sizes());
  const auto addPair = [&](const char *name, std::string &value, const char *meaning) {
    command.add_option(name, value, std::string(meaning) + ": one number, or two as in 3x1")->capture_default_str();
  };
  addPair("--kernel", conv.kernel, "Height and width of the kernel");
  addPair("--stride", conv.stride, "Pixels of the input for one of the output");
  addPair("--padding", conv.padding, "Zeros before and after each line, and each column");
  addPair("--dilation", conv.dilation, "Pixels of the input for one of the kernel");
  command.add_option("--groups", conv.groups, "Groups of channels")->check(sizes())->capture_default_str();
}

void cli::addStep(CLI::App &command, LayerOptions &layer) {
  command.add_option("--moments", layer.moments, "Of an update: f32, f16, bf16, block8, or none for a plain step")
      ->capture_default_str();
  command.add_option("--rounding", layer.rounding, "Of an update's codes: nearest, stochastic or residual")
      ->capture_default_str();
  command.add_option("--scaling", layer.scaling, "Of an update: keep, group or tensor")->capture_default_str();
}

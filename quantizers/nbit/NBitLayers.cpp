// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/NBitLayers.h"

#include "quantizers/Tensors.h"

using namespace bq;
using namespace bq::nn;

namespace {

template <typename Options>
void setCommon(NBitSettings &settings, const Options &options) {
  for (IntegerRule *rule : {&settings.product.activations, &settings.product.weights}) {
    rule->eps = options.eps();
    rule->upstreamCompatible = options.upstream_compatible();
  }
  settings.product.activations.of = IntegerRule::Of::Activations;
  settings.product.upstreamCompatible = options.upstream_compatible();
  settings.device = options.device();
  settings.dtype = options.dtype();
}

template <typename Options>
void setConv(NBitSettings &settings, const Options &options) {
  const char *name = settings.name;
  const int64_t groups = options.groups();
  TORCH_CHECK(groups > 0 && options.in_channels() % groups == 0 && options.out_channels() % groups == 0, name,
              ": in_channels ", options.in_channels(), " and out_channels ", options.out_channels(),
              " must be multiples of groups, which is ", groups);
  settings.weightShape = {options.out_channels(), options.in_channels() / groups, options.kernel_size()->at(0),
                          options.kernel_size()->at(1)};
  ConvShape conv{*options.stride(), *options.padding(), *options.dilation(), groups};
  for (int d = 0; d < 2; ++d)
    TORCH_CHECK(conv.stride[d] > 0 && conv.dilation[d] > 0 && conv.padding[d] >= 0, name,
                ": stride and dilation must be positive and padding not negative, got ", shapeText(conv.stride), ", ",
                shapeText(conv.dilation), " and ", shapeText(conv.padding));
  settings.product.conv = conv;
}

template <typename Options>
void setNBit(NBitSettings &settings, const Options &options, ParameterKind kind) {
  settings.product.activations.bits = options.a_bits();
  settings.product.weights.bits = options.w_bits();
  TORCH_CHECK(!options.packed_weight() || (options.w_bits() > 1 && !options.upstream_compatible()), settings.name,
              ": packed_weight needs 2 to 8 w_bits, and no upstream_compatible");
  if (options.packed_weight())
    settings.packed = kind;
}

template <typename Options>
void setBinary(NBitSettings &settings, const Options &options, ParameterKind kind) {
  settings.product.activations.bits = settings.product.weights.bits = 1;
  settings.product.activations.symmetric = options.symmetric();
  settings.packed = kind;
}

NBitSettings settingsOf(const NBitLinearOptions &options) {
  NBitSettings settings;
  settings.name = "bq::nn::NBitLinear";
  settings.weightShape = {options.out_features(), options.in_features()};
  setCommon(settings, options);
  setNBit(settings, options, ParameterKind::NBitLinear);
  return settings;
}

NBitSettings settingsOf(const NBitConv2dOptions &options) {
  NBitSettings settings;
  settings.name = "bq::nn::NBitConv2d";
  setCommon(settings, options);
  setConv(settings, options);
  setNBit(settings, options, ParameterKind::NBitConv);
  return settings;
}

NBitSettings settingsOf(const BinaryLinearOptions &options) {
  NBitSettings settings;
  settings.name = "bq::nn::BinaryLinear";
  settings.weightShape = {options.out_features(), options.in_features()};
  setCommon(settings, options);
  setBinary(settings, options, ParameterKind::BinaryLinear);
  return settings;
}

NBitSettings settingsOf(const BinaryConv2dOptions &options) {
  NBitSettings settings;
  settings.name = "bq::nn::BinaryConv2d";
  setCommon(settings, options);
  setConv(settings, options);
  setBinary(settings, options, ParameterKind::BinaryConv);
  return settings;
}

template <typename Options>
void printConv(std::ostream &stream, const Options &options) {
  stream << "in_channels=" << options.in_channels() << ", out_channels=" << options.out_channels()
         << ", kernel_size=" << options.kernel_size() << ", stride=" << options.stride()
         << ", padding=" << options.padding() << ", dilation=" << options.dilation() << ", groups=" << options.groups();
}

template <typename Options>
void printLinear(std::ostream &stream, const Options &options) {
  stream << "in_features=" << options.in_features() << ", out_features=" << options.out_features();
}

template <typename Options>
void printBits(std::ostream &stream, const Options &options) {
  stream << ", a_bits=" << options.a_bits() << ", w_bits=" << options.w_bits()
         << ", packed_weight=" << (options.packed_weight() ? "true" : "false") << ")";
}

} // namespace

NBitLinearImpl::NBitLinearImpl(NBitLinearOptions options) : NBitModule(settingsOf(options)), options(options) {}

void NBitLinearImpl::pretty_print(std::ostream &stream) const {
  stream << "bq::nn::NBitLinear(";
  printLinear(stream, options);
  printBits(stream, options);
}

NBitConv2dImpl::NBitConv2dImpl(NBitConv2dOptions options) : NBitModule(settingsOf(options)), options(options) {}

void NBitConv2dImpl::pretty_print(std::ostream &stream) const {
  stream << "bq::nn::NBitConv2d(";
  printConv(stream, options);
  printBits(stream, options);
}

BinaryLinearImpl::BinaryLinearImpl(BinaryLinearOptions options) : NBitModule(settingsOf(options)), options(options) {}

void BinaryLinearImpl::pretty_print(std::ostream &stream) const {
  stream << "bq::nn::BinaryLinear(";
  printLinear(stream, options);
  stream << ")";
}

BinaryConv2dImpl::BinaryConv2dImpl(BinaryConv2dOptions options) : NBitModule(settingsOf(options)), options(options) {}

void BinaryConv2dImpl::pretty_print(std::ostream &stream) const {
  stream << "bq::nn::BinaryConv2d(";
  printConv(stream, options);
  stream << ")";
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Modules.h"

#include "quantizers/Conv2d.h"
#include "quantizers/Dispatch.h"
#include "quantizers/Linear.h"
#include "quantizers/Mixed.h"
#include "quantizers/Quantize.h"
#include "quantizers/Tensors.h"
#include "runtime/MixedStream.h"

using namespace bq;
using namespace bq::nn;

static constexpr const char *linearName = "bq::nn::QuantizedLinear";
static constexpr const char *conv2dName = "bq::nn::QuantizedConv2d";
static constexpr const char *embeddingName = "bq::nn::QuantizedEmbedding";

namespace {

/// Mixed codes of zeros, of one bit each.
at::Tensor zeroMixed(const char *name, int64_t weights, int64_t groupSize) {
  const std::vector<uint8_t> bits(static_cast<size_t>(MixedStream::groupCount(weights, groupSize)), 1);
  const MixedStream stream = take(name, MixedStream::plan(bits.data(), weights, groupSize));
  at::Tensor codes = at::empty({stream.bytes()}, at::kByte);
  stream.write(
      bits.data(), [&](int64_t group, uint16_t *levels) { std::fill_n(levels, stream.length(group), uint16_t{0}); },
      codes.mutable_data_ptr<uint8_t>(), parallelFor);
  return codes;
}

/// Registers the buffers of a weight of zeros on `module`, and sets its fields to them.
template <typename Module>
void registerWeight(const char *name, Module &module, int64_t n, int64_t k) {
  Format format = take(name, Format::parse(module.options.format()));
  TORCH_CHECK(n >= 0 && k >= 0, name, ": sizes cannot be negative, got [", n, ", ", k, "]");
  TORCH_CHECK(format.kind != Format::Kind::Lut, name, ": ", format.str(),
              " is not supported: its table comes from the caller of bq::linear");
  if (format.isMixed()) {
    module.codes = module.register_buffer("codes", zeroMixed(name, n * k, format.group));
    module.scales = module.register_buffer("scales", at::zeros({2}));
    return;
  }
  at::DimVector scaleShape{n, format.groupCount(k)};
  if (format.hasColumnScale())
    scaleShape = {n + k};
  module.codes = module.register_buffer("codes", at::zeros({n, format.rowBytes(k)}, at::kByte));
  module.scales = module.register_buffer("scales", at::zeros(scaleShape));
  if (format.hasZeroPoints())
    module.zeros = module.register_buffer("zeros", at::zeros(scaleShape, at::kByte));
}

template <typename Module>
void setWeight(const char *name, Module &module, const MixedWeight &weight, at::IntArrayRef shape) {
  TORCH_CHECK(at::IntArrayRef(weight.shape) == shape, name, ": expected a mixed weight ", shapeText(shape), ", got ",
              shapeText(weight.shape));
  module.codes.set_data(weight.codes);
  module.scales.set_data(weight.scales);
}

template <typename Module>
void setWeight(Module &module, const at::Tensor &weight) {
  at::NoGradGuard noGrad;
  auto [codes, scales, zeros] = quantize(weight, *Format::parse(module.options.format()));
  module.codes.set_data(codes);
  module.scales.set_data(scales);
  if (module.zeros.defined())
    module.zeros.set_data(zeros);
}

/// Calls `to`, which moves and converts everything, then puts codes, zero points and the scales of mixed back as they
/// were, moved only.
template <typename Module, typename Function>
void keepTypeOfCodes(Module &module, bool nonBlocking, Function to) {
  at::Tensor codes = module.codes.detach(), zeros = module.zeros.defined() ? module.zeros.detach() : at::Tensor();
  at::Tensor scales = module.scales.detach();
  to();
  if (Format::parse(module.options.format())->isMixed())
    module.scales.set_data(scales.to(module.scales.device(), nonBlocking));
  module.codes.set_data(codes.to(module.codes.device(), nonBlocking));
  if (zeros.defined())
    module.zeros.set_data(zeros.to(module.zeros.device(), nonBlocking));
}

std::optional<at::Tensor> whereDefined(const at::Tensor &tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

} // namespace

QuantizedLinearImpl::QuantizedLinearImpl(QuantizedLinearOptions options) : options(std::move(options)) { reset(); }

void QuantizedLinearImpl::reset() {
  LinearChoice::parse(linearName, options.compute(), options.activation());
  registerWeight(linearName, *this, options.out_features(), options.in_features());
  if (options.bias())
    bias = register_parameter("bias", at::zeros({options.out_features()}));
}

/// A layer like `linear` in so far, with its bias.
static std::shared_ptr<QuantizedLinearImpl> likeLinear(const torch::nn::Linear &linear, const std::string &format,
                                                       const std::string &compute, const std::string &activation) {
  bool hasBias = linear->bias.defined();
  auto module = std::make_shared<QuantizedLinearImpl>(
      QuantizedLinearOptions(linear->weight.size(1), linear->weight.size(0), format)
          .bias(hasBias)
          .compute(compute)
          .activation(activation));
  if (hasBias)
    module->bias.set_data(linear->bias.detach());
  return module;
}

std::shared_ptr<QuantizedLinearImpl> QuantizedLinearImpl::fromFloat(const torch::nn::Linear &linear,
                                                                    const std::string &format,
                                                                    const std::string &compute,
                                                                    const std::string &activation) {
  auto module = likeLinear(linear, format, compute, activation);
  setWeight(*module, linear->weight);
  return module;
}

std::shared_ptr<QuantizedLinearImpl> QuantizedLinearImpl::fromMixed(const torch::nn::Linear &linear,
                                                                    const MixedWeight &weight,
                                                                    const std::string &compute,
                                                                    const std::string &activation) {
  auto module = likeLinear(linear, weight.format(), compute, activation);
  setWeight(linearName, *module, weight, linear->weight.sizes());
  return module;
}

void QuantizedLinearImpl::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(device, dtype, nonBlocking); });
}

void QuantizedLinearImpl::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(dtype, nonBlocking); });
}

void QuantizedLinearImpl::to(torch::Device device, bool nonBlocking) { Module::to(device, nonBlocking); }

void QuantizedLinearImpl::pretty_print(std::ostream &stream) const {
  stream << linearName << "(in_features=" << options.in_features() << ", out_features=" << options.out_features()
         << ", format=" << options.format() << ", bias=" << (options.bias() ? "true" : "false")
         << ", compute=" << options.compute() << ", activation=" << options.activation() << ")";
}

at::Tensor QuantizedLinearImpl::forward(const at::Tensor &x) {
  return dispatch::linear(x, codes, scales, whereDefined(zeros), whereDefined(bias), options.format(),
                          options.compute(), options.activation(), std::nullopt);
}

at::Tensor QuantizedLinearImpl::dequantize() const {
  return bq::dequantize(codes, scales, whereDefined(zeros), *Format::parse(options.format()),
                        {options.out_features(), options.in_features()});
}

QuantizedConv2dImpl::QuantizedConv2dImpl(QuantizedConv2dOptions options) : options(std::move(options)) { reset(); }

at::DimVector QuantizedConv2dImpl::weightShape() const {
  return {options.out_channels(), options.in_channels() / options.groups(), (*options.kernel_size())[0],
          (*options.kernel_size())[1]};
}

static Conv2dSteps stepsOf(const QuantizedConv2dOptions &options) {
  return {*options.stride(), *options.padding(), *options.dilation(), options.groups()};
}

void QuantizedConv2dImpl::reset() {
  LinearChoice::parse(conv2dName, options.compute(), options.activation());
  TORCH_CHECK(options.groups() >= 1 && options.in_channels() % options.groups() == 0, conv2dName, ": 'groups' is ",
              options.groups(), ": use a divisor of the ", options.in_channels(), " input channels");
  const Conv2dCall call(conv2dName, weightShape(), stepsOf(options));
  registerWeight(conv2dName, *this, call.n(), call.k());
  if (options.bias())
    bias = register_parameter("bias", at::zeros({options.out_channels()}));
}

/// The same for a convolution.
static std::shared_ptr<QuantizedConv2dImpl> likeConv2d(const torch::nn::Conv2d &conv, const std::string &format,
                                                       const std::string &compute, const std::string &activation) {
  const auto &given = conv->options;
  const auto *padding = std::get_if<torch::ExpandingArray<2>>(&given.padding());
  TORCH_CHECK(padding && std::holds_alternative<torch::enumtype::kZeros>(given.padding_mode()), conv2dName,
              ": expected a convolution that pads with zeros, by numbers");
  const bool hasBias = conv->bias.defined();
  auto module = std::make_shared<QuantizedConv2dImpl>(
      QuantizedConv2dOptions(given.in_channels(), given.out_channels(), given.kernel_size(), format)
          .stride(given.stride())
          .padding(*padding)
          .dilation(given.dilation())
          .groups(given.groups())
          .bias(hasBias)
          .compute(compute)
          .activation(activation));
  if (hasBias)
    module->bias.set_data(conv->bias.detach());
  return module;
}

std::shared_ptr<QuantizedConv2dImpl> QuantizedConv2dImpl::fromFloat(const torch::nn::Conv2d &conv,
                                                                    const std::string &format,
                                                                    const std::string &compute,
                                                                    const std::string &activation) {
  auto module = likeConv2d(conv, format, compute, activation);
  setWeight(*module, conv->weight);
  return module;
}

std::shared_ptr<QuantizedConv2dImpl> QuantizedConv2dImpl::fromMixed(const torch::nn::Conv2d &conv,
                                                                    const MixedWeight &weight,
                                                                    const std::string &compute,
                                                                    const std::string &activation) {
  auto module = likeConv2d(conv, weight.format(), compute, activation);
  setWeight(conv2dName, *module, weight, conv->weight.sizes());
  return module;
}

void QuantizedConv2dImpl::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(device, dtype, nonBlocking); });
}

void QuantizedConv2dImpl::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(dtype, nonBlocking); });
}

void QuantizedConv2dImpl::to(torch::Device device, bool nonBlocking) { Module::to(device, nonBlocking); }

void QuantizedConv2dImpl::pretty_print(std::ostream &stream) const {
  stream << conv2dName << "(" << options.in_channels() << ", " << options.out_channels()
         << ", kernel_size=" << options.kernel_size() << ", stride=" << options.stride()
         << ", padding=" << options.padding() << ", dilation=" << options.dilation() << ", groups=" << options.groups()
         << ", format=" << options.format() << ", bias=" << (options.bias() ? "true" : "false")
         << ", compute=" << options.compute() << ", activation=" << options.activation() << ")";
}

at::Tensor QuantizedConv2dImpl::forward(const at::Tensor &x) {
  return dispatch::conv2d(x, codes, scales, whereDefined(zeros), whereDefined(bias), options.format(), weightShape(),
                          stepsOf(options), options.compute(), options.activation());
}

at::Tensor QuantizedConv2dImpl::dequantize() const {
  return bq::dequantize(codes, scales, whereDefined(zeros), *Format::parse(options.format()), weightShape());
}

QuantizedEmbeddingImpl::QuantizedEmbeddingImpl(QuantizedEmbeddingOptions options) : options(std::move(options)) {
  reset();
}

void QuantizedEmbeddingImpl::reset() {
  registerWeight(embeddingName, *this, options.num_embeddings(), options.embedding_dim());
}

std::shared_ptr<QuantizedEmbeddingImpl> QuantizedEmbeddingImpl::fromFloat(const torch::nn::Embedding &embedding,
                                                                          const std::string &format) {
  TORCH_CHECK(!embedding->options.max_norm(), embeddingName,
              ": an embedding with max_norm changes its weight as it is "
              "read, which a quantized one cannot");
  auto module = std::make_shared<QuantizedEmbeddingImpl>(
      QuantizedEmbeddingOptions(embedding->weight.size(0), embedding->weight.size(1), format));
  setWeight(*module, embedding->weight);
  return module;
}

void QuantizedEmbeddingImpl::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(device, dtype, nonBlocking); });
}

void QuantizedEmbeddingImpl::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypeOfCodes(*this, nonBlocking, [&] { Module::to(dtype, nonBlocking); });
}

void QuantizedEmbeddingImpl::to(torch::Device device, bool nonBlocking) { Module::to(device, nonBlocking); }

void QuantizedEmbeddingImpl::pretty_print(std::ostream &stream) const {
  stream << embeddingName << "(num_embeddings=" << options.num_embeddings()
         << ", embedding_dim=" << options.embedding_dim() << ", format=" << options.format() << ")";
}

at::Tensor QuantizedEmbeddingImpl::forward(const at::Tensor &indices) {
  return dispatch::embedding(indices, codes, scales, whereDefined(zeros), options.format(), options.embedding_dim());
}

at::Tensor QuantizedEmbeddingImpl::dequantize() const {
  return bq::dequantize(codes, scales, whereDefined(zeros), *Format::parse(options.format()),
                        {options.num_embeddings(), options.embedding_dim()});
}

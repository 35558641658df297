// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Modules.h"

#include "quantizers/Dispatch.h"
#include "quantizers/Linear.h"
#include "quantizers/Quantize.h"
#include "quantizers/Tensors.h"

using namespace bq;
using namespace bq::nn;

static constexpr const char *linearName = "bq::nn::QuantizedLinear";
static constexpr const char *embeddingName = "bq::nn::QuantizedEmbedding";

namespace {

/// Registers the buffers of a weight of zeros on `module`, and sets its fields to them.
template <typename Module>
void registerWeight(const char *name, Module &module, int64_t n, int64_t k) {
  Format format = take(name, Format::parse(module.options.format()));
  TORCH_CHECK(n >= 0 && k >= 0, name, ": sizes cannot be negative, got [", n, ", ", k, "]");
  TORCH_CHECK(format.kind != Format::Kind::Lut, name, ": ", format.str(),
              " is not supported: its table comes from the caller of bq::linear");
  at::DimVector scaleShape{n, format.groupCount(k)};
  if (format.hasColumnScale())
    scaleShape = {n + k};
  module.codes = module.register_buffer("codes", at::zeros({n, format.rowBytes(k)}, at::kByte));
  module.scales = module.register_buffer("scales", at::zeros(scaleShape));
  if (format.hasZeroPoints())
    module.zeros = module.register_buffer("zeros", at::zeros(scaleShape, at::kByte));
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

/// Calls `to`, which moves and converts everything, then puts codes and zero points back as they were, moved only.
template <typename Module, typename Function>
void keepTypeOfCodes(Module &module, bool nonBlocking, Function to) {
  at::Tensor codes = module.codes.detach(), zeros = module.zeros.defined() ? module.zeros.detach() : at::Tensor();
  to();
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

std::shared_ptr<QuantizedLinearImpl> QuantizedLinearImpl::fromFloat(const torch::nn::Linear &linear,
                                                                    const std::string &format,
                                                                    const std::string &compute,
                                                                    const std::string &activation) {
  bool hasBias = linear->bias.defined();
  auto module = std::make_shared<QuantizedLinearImpl>(
      QuantizedLinearOptions(linear->weight.size(1), linear->weight.size(0), format)
          .bias(hasBias)
          .compute(compute)
          .activation(activation));
  setWeight(*module, linear->weight);
  if (hasBias)
    module->bias.set_data(linear->bias.detach());
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

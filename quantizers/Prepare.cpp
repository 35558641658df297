// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Prepare.h"

#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/nbit/Parameters.h"

#include <torch/csrc/autograd/autograd.h>

using namespace bq;

static constexpr const char *op = "bq::prepare";

namespace {

/// One call on zeros, and with `inputGradient` its way back to x.
template <typename Run>
void runOnce(at::IntArrayRef shape, const at::TensorOptions &options, bool inputGradient, Run run) {
  const at::AutoGradMode records(inputGradient);
  const at::Tensor x = at::zeros(shape, options).requires_grad_(inputGradient), y = run(x);
  if (inputGradient)
    torch::autograd::grad({y}, {x}, {at::zeros_like(y)});
}

/// Whether gradients of a layer's input are expected.
bool isTrained(const torch::nn::Module &layer) { return layer.is_training() && at::GradMode::is_enabled(); }

/// Of calls of a layer with these tensors.
at::TensorOptions inputOf(const at::Tensor &scales, std::optional<at::ScalarType> dtype) {
  return scales.options().dtype(dtype.value_or(scales.scalar_type()));
}

/// One linear layer to be prepared.
struct Layer {
  int64_t n, k;
  LinearChoice choice;
  bool hasBias, inputGradient;
  at::TensorOptions x;
  std::function<std::shared_ptr<const PrepackedWeight>()> prepacked; ///< Empty where calls are LibTorch's.
  std::function<at::Tensor(const at::Tensor &x)> run;

  void prepare(at::IntArrayRef rows) const {
    for (int64_t m : rows)
      TORCH_CHECK(m > 0, op, ": expected positive numbers of rows, got ", m);
    const gpu::CallKind calls{choice, elementType(op, "x", c10::typeMetaToScalarType(x.dtype())), hasBias,
                              inputGradient};
    if (x.device().is_cuda() && n && k && prepacked)
      gpu::makeKernels(gpu::currentPlace(op, x.device()), *prepacked(), calls, rows);
    for (int64_t m : rows)
      runOnce({m, k}, x, inputGradient, run);
  }
};

} // namespace

void bq::prepare(const PackedWeight &weight, at::IntArrayRef rows, const PrepareOptions &options) {
  const at::Device device = gpu::withIndex(op, options.device.value_or(weight.codes().device()));
  const at::TensorOptions x = at::device(device).dtype(options.dtype);
  TORCH_CHECK(weight.shape().size() == 2, op, ": expected the weight of a linear layer, got ",
              shapeText(weight.shape()));
  const int64_t n = weight.n(), k = weight.k();
  const auto bias = options.bias ? std::optional<at::Tensor>(at::zeros({n}, x)) : std::nullopt;
  Layer{n,
        k,
        {options.compute, options.activation},
        options.bias,
        options.inputGradient,
        x,
        [&] { return weight.prepacked(device); },
        [&](const at::Tensor &input) { return weight.linear(input, bias, options.compute, options.activation); }}
      .prepare(rows);
}

void bq::prepare(nn::QuantizedLinear layer, at::IntArrayRef rows, std::optional<at::ScalarType> dtype) {
  const auto &options = layer->options;
  const auto zeros = layer->zeros.defined() ? std::optional<at::Tensor>(layer->zeros) : std::nullopt;
  Layer{options.out_features(),
        options.in_features(),
        LinearChoice::parse(op, options.compute(), options.activation()),
        layer->bias.defined(),
        isTrained(*layer),
        inputOf(layer->scales, dtype),
        [&] {
          return prepackRemembered(op, {layer->codes, layer->scales, zeros, std::nullopt},
                                   take(op, Format::parse(options.format())), options.in_features());
        },
        [&](const at::Tensor &input) { return layer->forward(input); }}
      .prepare(rows);
}

void bq::prepare(nn::MPQLinear layer, at::IntArrayRef rows, std::optional<at::ScalarType> dtype) {
  const auto &options = layer->options;
  Layer linear{options.out_features(),
               options.in_features(),
               LinearChoice::parse(op, options.compute(), "none"),
               layer->bias.defined(),
               isTrained(*layer),
               inputOf(layer->scales, dtype),
               [&] {
                 return prepackRemembered(op, {layer->weight, layer->scales, layer->zeros, std::nullopt},
                                          nn::QuantizedParameter(layer->weight).contents().format,
                                          options.in_features());
               },
               [&](const at::Tensor &input) { return layer->forward(input); }};
  if (options.upstream_compatible())
    linear.prepacked = nullptr;
  linear.prepare(rows);
}

void bq::prepare(nn::QuantizedConv2d layer, at::IntArrayRef imageShape, std::optional<at::ScalarType> dtype) {
  runOnce(imageShape, inputOf(layer->scales, dtype), isTrained(*layer),
          [&](const at::Tensor &images) { return layer->forward(images); });
}

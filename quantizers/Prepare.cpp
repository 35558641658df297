// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Prepare.h"

#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/GpuLinear.h"

using namespace bq;

static constexpr const char *op = "bq::prepare";

namespace {

/// One layer to be prepared.
struct Layer {
  int64_t n, k;
  LinearChoice choice;
  at::Tensor bias; ///< Of the calls to come, or not defined.
  at::TensorOptions x;
  std::function<std::shared_ptr<const PrepackedWeight>()> prepacked;
  std::function<at::Tensor(const at::Tensor &x)> run;

  void prepare(at::IntArrayRef rows) const {
    for (int64_t m : rows)
      TORCH_CHECK(m > 0, op, ": expected positive numbers of rows, got ", m);
    const at::NoGradGuard noGrad;
    if (x.device().is_cuda() && n && k)
      gpu::makeKernels(gpu::currentPlace(op, x.device()), *prepacked(), choice, elementType(op, "x", dtype()),
                       bias.defined(), rows);
    for (int64_t m : rows)
      run(at::zeros({m, k}, x));
  }

private:
  at::ScalarType dtype() const { return c10::typeMetaToScalarType(x.dtype()); }
};

} // namespace

void bq::prepare(const PackedWeight &weight, at::IntArrayRef rows, const PrepareOptions &options) {
  const at::Device device = gpu::withIndex(op, options.device.value_or(weight.codes().device()));
  const at::TensorOptions x = at::device(device).dtype(options.dtype);
  TORCH_CHECK(weight.shape().size() == 2, op, ": expected the weight of a linear layer, got ",
              shapeText(weight.shape()));
  const int64_t n = weight.n(), k = weight.k();
  const at::Tensor bias = options.bias ? at::zeros({n}, x) : at::Tensor();
  const auto optionalBias = options.bias ? std::optional<at::Tensor>(bias) : std::nullopt;
  Layer{
      n,
      k,
      {options.compute, options.activation},
      bias,
      x,
      [&] { return weight.prepacked(device); },
      [&](const at::Tensor &input) { return weight.linear(input, optionalBias, options.compute, options.activation); }}
      .prepare(rows);
}

void bq::prepare(nn::QuantizedLinear layer, at::IntArrayRef rows, std::optional<at::ScalarType> dtype) {
  const auto &options = layer->options;
  const auto zeros = layer->zeros.defined() ? std::optional<at::Tensor>(layer->zeros) : std::nullopt;
  Layer{options.out_features(),
        options.in_features(),
        LinearChoice::parse(op, options.compute(), options.activation()),
        layer->bias,
        layer->codes.options().dtype(dtype.value_or(layer->scales.scalar_type())),
        [&] {
          return prepackRemembered(op, {layer->codes, layer->scales, zeros, std::nullopt},
                                   take(op, Format::parse(options.format())), options.in_features());
        },
        [&](const at::Tensor &input) { return layer->forward(input); }}
      .prepare(rows);
}

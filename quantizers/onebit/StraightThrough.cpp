// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/StraightThrough.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

/// Rows for a thread, at least.
constexpr int64_t grain = 16;
/// Rows whose sums over columns are added up together. Fixed, so that threads do not change the order of a sum.
constexpr int64_t block = 64;
/// Partial sums over a row, which a vector can hold.
constexpr int64_t lanes = 16;

struct SignFunction : torch::autograd::Function<SignFunction> {
  static Tensor forward(AutogradContext *, const Tensor &latent) {
    return at::ge(latent, 0).to(latent.scalar_type()).mul_(2).sub_(1);
  }
  static variable_list backward(AutogradContext *, const variable_list &gradients) { return gradients; }
};

template <typename T>
void multiply(const Tensor &latent, const Tensor &a, const Tensor &b, Tensor &weight) {
  const int64_t columns = latent.size(1);
  const T *latents = latent.const_data_ptr<T>(), *rowFactors = a.const_data_ptr<T>(),
          *columnFactors = b.const_data_ptr<T>();
  T *out = weight.mutable_data_ptr<T>();
  at::parallel_for(0, latent.size(0), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T factor = rowFactors[row];
      for (int64_t k = 0; k < columns; ++k) {
        const T magnitude = factor * columnFactors[k];
        out[row * columns + k] = latents[row * columns + k] >= 0 ? magnitude : -magnitude;
      }
    }
  });
}

struct WeightGradients {
  Tensor latent, a;
  Tensor b; ///< [blocks, K], to be summed.
};

template <typename T>
void backpropagate(const Tensor &gradient, const Tensor &latent, const Tensor &a, const Tensor &b,
                   WeightGradients &result) {
  const int64_t rows = latent.size(0), columns = latent.size(1);
  const T *gradients = gradient.const_data_ptr<T>(), *latents = latent.const_data_ptr<T>(),
          *rowFactors = a.const_data_ptr<T>(), *columnFactors = b.const_data_ptr<T>();
  T *latentOut = result.latent.mutable_data_ptr<T>(), *aOut = result.a.mutable_data_ptr<T>(),
    *bOut = result.b.mutable_data_ptr<T>();
  at::parallel_for(0, result.b.size(0), 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part)
      for (int64_t row = part * block; row < std::min(rows, (part + 1) * block); ++row) {
        const T *in = gradients + row * columns, *signs = latents + row * columns;
        T *out = latentOut + row * columns, *columnSums = bOut + part * columns;
        T sums[lanes] = {};
        for (int64_t k = 0; k < columns; ++k) {
          const T signedGradient = signs[k] >= 0 ? in[k] : -in[k];
          columnSums[k] += signedGradient * rowFactors[row];
          out[k] = in[k] * rowFactors[row] * columnFactors[k];
        }
        for (int64_t k = 0; k < columns; ++k)
          sums[k % lanes] += (signs[k] >= 0 ? in[k] : -in[k]) * columnFactors[k];
        aOut[row] = std::accumulate(sums, sums + lanes, T(0));
      }
  });
}

struct WeightFunction : torch::autograd::Function<WeightFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &latent, const Tensor &a, const Tensor &b) {
    const Tensor latents = latent.contiguous(), rowFactors = a.contiguous(), columnFactors = b.contiguous();
    context->save_for_backward({latents, rowFactors, columnFactors});
    Tensor weight = at::empty(latents.sizes(), latents.options());
    AT_DISPATCH_FLOATING_TYPES(latents.scalar_type(), "signWeight",
                               [&] { multiply<scalar_t>(latents, rowFactors, columnFactors, weight); });
    return weight;
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "signWeight: gradients of second order do not exist");
    const variable_list saved = context->get_saved_variables();
    const Tensor &latent = saved[0];
    const int64_t rows = latent.size(0), columns = latent.size(1);
    const Tensor gradient = gradients[0].contiguous();
    WeightGradients result{at::empty({rows, columns}, latent.options()), at::empty({rows}, latent.options()),
                           at::zeros({(rows + block - 1) / block, columns}, latent.options())};
    AT_DISPATCH_FLOATING_TYPES(latent.scalar_type(), "signWeight",
                               [&] { backpropagate<scalar_t>(gradient, latent, saved[1], saved[2], result); });
    return {result.latent, result.a, result.b.sum(0)};
  }
};

} // namespace

Tensor bq::onebit::straightThroughSign(const Tensor &latent) { return SignFunction::apply(latent); }

Tensor bq::onebit::signWeight(const Tensor &latent, const Tensor &a, const Tensor &b) {
  TORCH_CHECK(latent.dim() == 2 && a.sizes() == at::IntArrayRef({latent.size(0)}) &&
                  b.sizes() == at::IntArrayRef({latent.size(1)}),
              "signWeight: expected a latent weight [N, K], a [N] and b [K], got ", latent.sizes(), ", ", a.sizes(),
              " and ", b.sizes());
  for (const Tensor &tensor : {latent, a, b})
    TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == latent.scalar_type() &&
                    (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble),
                "signWeight: expected tensors of one type, float or double, on the CPU, got ", tensor.scalar_type(),
                " on ", tensor.device());
  return WeightFunction::apply(latent, a, b);
}

Tensor bq::onebit::latentOf(const Tensor &weight, const Decomposition &form) {
  // Of a weight of zero, or in a row or column of zeros, either sign is as good.
  constexpr double least = 1e-3;
  const Tensor unit = at::outer(form.a.abs(), form.b.abs());
  const Tensor magnitude = at::where(unit > 0, weight.detach().to(at::kFloat).abs() / unit, 0).clamp_min(least);
  return at::where(form.sign, magnitude, -magnitude);
}

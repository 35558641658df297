// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model in which two modules hold one weight.
#ifndef BQ_TEST_UNIT_DIFFQ_TIEDMODEL_H
#define BQ_TEST_UNIT_DIFFQ_TIEDMODEL_H

#include <torch/nn/module.h>

namespace bq::test {

struct Scaled : torch::nn::Module {
  Scaled(at::Tensor shared, int64_t size) {
    weight = register_parameter("weight", std::move(shared));
    bias = register_parameter("bias", at::zeros({size}));
  }
  at::Tensor forward(const at::Tensor &x) { return at::linear(x, weight, bias); }
  at::Tensor weight, bias;
};

struct TiedModel : torch::nn::Module {
  explicit TiedModel(int64_t size = 16) {
    const at::Tensor shared = at::randn({size, size}).requires_grad_();
    a = register_module("a", std::make_shared<Scaled>(shared, size));
    b = register_module("b", std::make_shared<Scaled>(shared, size));
  }
  at::Tensor forward(const at::Tensor &x) { return b->forward(a->forward(x).tanh()); }
  std::shared_ptr<Scaled> a, b;
};

} // namespace bq::test

#endif // BQ_TEST_UNIT_DIFFQ_TIEDMODEL_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/NBitLayers.h"
#include "quantizers/optim/DiodeMix.h"
#include <torch/torch.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  const auto layer = [](int64_t in, int64_t out) {
    return bq::nn::NBitLinear(bq::nn::NBitLinearOptions(in, out).w_bits(4).a_bits(4).packed_weight(true));
  };
  torch::nn::Sequential model(layer(64, 128), torch::nn::BatchNorm1d(128), torch::nn::ReLU(), layer(128, 10));
  bq::optim::DiodeMix optimizer(model->named_parameters(),
                                bq::optim::DiodeMixOptions(0.002).betas({0.9, 0.99}).eps(1e-8));

  const torch::Tensor labels = torch::arange(512) % 10; // Examples are noise around ten points.
  const torch::Tensor x = torch::randn({10, 64}).index_select(0, labels) + 0.5 * torch::randn({512, 64});
  for (int step = 0; step < 100; ++step) {
    optimizer.zero_grad();
    torch::nn::functional::cross_entropy(model->forward(x), labels).backward();
    optimizer.step();
  }

  model->eval(); // From here on the kernels read the packed codes.
  const torch::Tensor right = model->forward(x).argmax(1).eq(labels);
  std::cout << right.sum().item<int64_t>() << " of 512 right\n";
  torch::save(model, "trained.pt");
}

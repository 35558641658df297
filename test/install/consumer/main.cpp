// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Convert.h"
#include <torch/script.h>

#include <iostream>

int main() {
  torch::jit::Module model = torch::jit::load("model.pt");
  bq::ConvertOptions options;
  options.rules = {*bq::FormatRule::parse("int4:g128"), *bq::FormatRule::parse("word_embeddings=int8")};
  options.compute = bq::Compute::I16;
  for (const bq::LayerReport &layer : bq::convert(model, options).layers)
    std::cout << layer.name << "  " << layer.sqnrDb.value_or(0) << " dB\n";
  model.save("small.pt");
}

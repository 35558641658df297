// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Uses bq::runtime alone: the vocabulary of the headers, which is in the library, and a kernel.
#include "codegen/Compiler.h"
#include "dialect/core/Half.h"
#include "dialect/core/Layout.h"
#include "runtime/Backend.h"
#include "runtime/KernelCache.h"
#include "runtime/Options.h"

#include <iostream>

int main() {
  bq::KernelSpec spec;
  spec.op = bq::KernelSpec::Op::Dequantize;
  spec.format = *bq::Format::parse("nf4");
  spec.k = 8;
  std::cout << spec.name() << " of build " << bq::buildId() << "\n";

  const uint8_t codes[] = {0x10, 0x32, 0x54, 0x76};
  const float scale = 2;
  bq::CanonicalWeight weight;
  weight.format = spec.format;
  weight.n = 1;
  weight.k = spec.k;
  weight.codes = codes;
  weight.scales = &scale;
  float row[8];
  bq::Expected<bq::Backend *> backend = bq::cpuBackend();
  bq::Status status = backend ? (*backend)->dequantize(weight, row, bq::serialFor) : bq::Status(backend.error());
  if (!status) {
    std::cerr << status.error().message << "\n";
    return 1;
  }
  for (int i = 0; i < 8; ++i)
    if (row[i] != scale * bq::nf4Table[i]) {
      std::cerr << "column " << i << " is " << row[i] << "\n";
      return 1;
    }
  bq::KernelCache *cache = *bq::KernelCache::process();
  std::cout << cache->stats().compiles << " compiled by " << cache->compiler().paths()[0] << "\n";
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/Prelude.h"

const char *bq::cudaPrelude() {
  return
#include "codegen/cuda/Prelude.cuh.inc"
      ;
}

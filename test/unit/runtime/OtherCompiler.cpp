// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compiler that was built from other sources.
#include "codegen/Compiler.h"

extern "C" __attribute__((visibility("default"))) const bq::CompilerApi *bqCompilerApi() {
  static const bq::CompilerApi api{"another-build", "0", nullptr, nullptr, nullptr};
  return &api;
}

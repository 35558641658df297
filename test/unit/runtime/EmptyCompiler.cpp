// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A shared library that offers nothing.
extern "C" __attribute__((visibility("default"))) int bqNothing() { return 0; }

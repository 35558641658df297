// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// REQUIRES: host-avx2
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=host | FileCheck %s

// What the system says of this machine and what `host` takes it for agree.

// CHECK: llvm.func @kernel(
// CHECK: "llvm.x86.{{avx2|avx512}}.
func.func @kernel(%x: tensor<1x64xf32>, %w: !bq.weight<64x64, "int4", f16>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x64xf32>, !bq.weight<64x64, "int4", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

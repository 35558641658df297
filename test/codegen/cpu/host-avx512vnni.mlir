// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// REQUIRES: host-avx512vnni
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=host | FileCheck %s

// CHECK: llvm.func @kernel(
// CHECK: "llvm.x86.avx512.vpdpbusd.512"
func.func @kernel(%x: tensor<1x64xf32>, %w: !bq.weight<64x64, "int4", f16>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x64xf32>, !bq.weight<64x64, "int4", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

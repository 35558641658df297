// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 | FileCheck %s --check-prefixes=CHECK,AVX512
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=haswell | FileCheck %s --check-prefixes=CHECK,AVX2
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=x86-64 | FileCheck %s --check-prefixes=CHECK,GENERIC
// RUN: bq-opt %s -bq-cpu-pipeline="cpu=znver4 schedule=reference" | FileCheck %s --check-prefix=CHECK
// RUN: bq-opt %s -bq-cpu-pipeline | FileCheck %s --check-prefix=CHECK
// RUN: not bq-opt %s -bq-cpu-pipeline=cpu=z80 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: error: cpu 'z80' is not known: use one of host, x86-64,

// From a layer and what follows it to functions of the LLVM dialect with nothing else left, on each kind of CPU, with a
// forced schedule, and for the machine that runs this.

// CHECK: llvm.func @layer_prepare(
// CHECK: llvm.func @layer(
// AVX512: "llvm.x86.avx512.vpdpbusd.512"
// AVX2: "llvm.x86.avx2.pmadd.ub.sw"
// GENERIC: llvm.mul {{.*}} : vector<4xi32>
// CHECK-NOT: {{ (bq|func|scf|memref|vector|arith|math)\.}}
func.func @layer(%x: tensor<1x256xf32>, %w: !bq.weight<64x256, "int4:g128", f16>, %b: tensor<64xf32>) -> tensor<1x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x256xf32>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<1x64xf32>
  %1 = bq.add_bias %0, %b : tensor<1x64xf32>, tensor<64xf32>
  %2 = bq.activate %1 {activation = #bq.activation<silu>} : tensor<1x64xf32>
  return %2 : tensor<1x64xf32>
}

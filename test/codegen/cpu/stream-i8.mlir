// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 | %to-llvm-ir | %to-machine-code -mcpu=znver4 | FileCheck %s

// The form that reaches memory bandwidth: a line of codes is loaded once, its halves are masked where they stand, and the
// activation comes with the dot product, by its broadcast from memory. The loop keeps to registers and calls nothing.

// CHECK-LABEL: {{^}}kernel:
// CHECK:       =>{{ +}}This Inner Loop Header
// CHECK-NOT:   {{Spill|Reload|call}}
// CHECK-DAG:   vmovdqa64 {{.*}}, %[[LINE:zmm[0-9]+]]
// CHECK-DAG:   vpand{{[dq]}} %zmm{{[0-9]+}}, %[[LINE]], %[[LOW:zmm[0-9]+]]
// CHECK-DAG:   vpdpbusd {{-?[0-9]*}}(%{{[a-z0-9]+}}){1to16}, %[[LOW]], %zmm{{[0-9]+}}
// CHECK-NOT:   {{Spill|Reload|call}}
// CHECK:       vpdpbusd {{.*}}{1to16}
// CHECK-NOT:   {{Spill|Reload|call}}
// CHECK:       vcvtdq2ps
// CHECK-NEXT:  vfmadd
// CHECK-NOT:   {{Spill|Reload|call}}
// CHECK:       jl
// CHECK:       retq
func.func @kernel(%x: tensor<1x4096xf32>, %w: !bq.weight<64x4096, "int4:g128", f16>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>}
      : (tensor<1x4096xf32>, !bq.weight<64x4096, "int4:g128", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

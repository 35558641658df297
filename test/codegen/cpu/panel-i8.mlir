// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 | %to-llvm-ir | %to-machine-code -mcpu=znver4 | FileCheck %s

// The tile's accumulators stay in registers while it is multiplied: nothing in the loop touches the stack. Each broadcast
// activation meets all vectors of weights.

// CHECK-LABEL: {{^}}kernel:
// CHECK:       vpdpbusd %[[X:zmm[0-9]+]], %zmm{{[0-9]+}}, %zmm{{[0-9]+}}
// CHECK-NEXT:  vpdpbusd %[[X]], %zmm{{[0-9]+}}, %zmm{{[0-9]+}}
// CHECK-NOT:   {{\(%rsp\)|call}}
// CHECK:       {{j[a-z]+[[:space:]]+}}.LBB
func.func @kernel(%x: tensor<?x4096xf32>, %w: !bq.weight<128x4096, "int4:g128", f16>) -> tensor<?x128xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>}
      : (tensor<?x4096xf32>, !bq.weight<128x4096, "int4:g128", f16>) -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

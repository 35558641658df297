// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule="cpu=znver4 schedule=reference" | FileCheck %s
// RUN: not bq-opt %s -bq-select-schedule="cpu=znver4 schedule=panel" 2>&1 | FileCheck %s --check-prefix=REFUSED
// RUN: not bq-opt %s -bq-select-schedule="cpu=znver4 schedule=swift" 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not bq-opt %s -bq-select-schedule=cpu=pentium 2>&1 | FileCheck %s --check-prefix=CPU

// A candidate that would not have been reached can be forced; one that refuses cannot.

// CHECK: schedule = #bq.schedule<reference, rows = 1
// REFUSED: error: schedule 'panel' refuses: made for any number of rows, got 1
// UNKNOWN: error: schedule 'swift' is not known: use one of stream, panel, reference
// CPU: error: cpu 'pentium' is not known: use one of host, x86-64, {{.*}}, znver5
func.func @one_row(%x: tensor<1x256xf32>, %w: !bq.weight<64x256, "int4", f16>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x256xf32>, !bq.weight<64x256, "int4", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-weight-range=cpu=znver4 -cse | FileCheck %s
// RUN: not bq-opt %s -bq-lower-weight-range=cpu=znver4 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.weight_range' op has no schedule: run bq-select-schedule first

// One read; an element that is not finite makes the sum of differences NaN, and with it both results.

// CHECK-LABEL: func.func @range(
// CHECK-SAME:    %[[W:[^:]*]]: memref<f16>, %[[LOW:[^:]*]]: memref<f32>, %[[HIGH:[^:]*]]: memref<f32>, %[[COUNT:[^:]*]]: index,
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK:             vector.load {{.*}} : memref<?xf16, {{.*}}>, vector<16xf16>
// CHECK:             %[[X:.*]] = arith.extf
// CHECK:             arith.subf %[[X]], %[[X]]
// CHECK-NOT:         vector.load
// CHECK:           vector.reduction <minnumf>
// CHECK:           vector.reduction <maxnumf>
// CHECK-COUNT-2:   memref.store {{.*}} : memref<?xf32,
func.func @range(%w: tensor<?xf16>) -> (tensor<?xf32>, tensor<?xf32>) {
  %low, %high = bq.weight_range %w : (tensor<?xf16>) -> (tensor<?xf32>, tensor<?xf32>)
  return %low, %high : tensor<?xf32>, tensor<?xf32>
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-magnitude-sums=cpu=znver4 -cse | FileCheck %s
// RUN: not bq-opt %s -bq-lower-magnitude-sums=cpu=znver4 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.magnitude_sums' op has no schedule: run bq-select-schedule first

// Four rows are summed from one read of the columns' factors; each column is then read and written once for all four.

// CHECK-LABEL: func.func @balance(
// CHECK-SAME:    %[[W:[^:]*]]: memref<f16>, %[[R:[^:]*]]: memref<f32>, %[[C:[^:]*]]: memref<f32>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<f32>,
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %[[FLOOR:[^:]*]]: f32, %[[STRIDE:[^:]*]]: index,
// CHECK:         memref.reinterpret_cast %[[W]] {{.*}} strides: [%[[STRIDE]], 1]
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-4:     math.fma
// CHECK-COUNT-4:   vector.reduction <add>
// CHECK:           arith.maximumf %{{.*}}, %[[FLOOR]] : f32
// CHECK:           arith.divf
// CHECK:           scf.for
// CHECK:             vector.load {{.*}} : memref<?x40xf32,
// CHECK-COUNT-4:     math.fma
// CHECK:             vector.store
func.func @balance(%w: tensor<?x40xf16>, %r: tensor<?xf32>, %c: tensor<40xf32>, %f: tensor<1xf32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?x40xf32>) {
  %sums:3 = bq.magnitude_sums %w, %r, %c, %f {divide}
    : (tensor<?x40xf16>, tensor<?xf32>, tensor<40xf32>, tensor<1xf32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?x40xf32>)
  return %sums#0, %sums#1, %sums#2 : tensor<?xf32>, tensor<?xf32>, tensor<?x40xf32>
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-diffq-noise=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-lower-diffq-noise=cpu=znver4 -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.diffq_noise' op has no schedule: run bq-select-schedule first

// The steps of a chunk's groups; its random words, 64 at a time; then 32 elements at a time: a vector of words is a
// radius, the next one an angle, and sixteen elements take the steps of their two groups.

// CHECK-LABEL: func.func @gaussian(
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             arith.divf {{.*}} : vector<16xf32>
// CHECK:           scf.for
// CHECK:             bq.philox {{.*}} {rounds = 7 : i64} : vector<16xi32>
// CHECK-COUNT-4:     vector.store {{.*}} : memref<1024xi32>, vector<16xi32>
// CHECK:           scf.for
// CHECK-COUNT-2:     vector.load {{.*}} : memref<1024xi32>, vector<16xi32>
// CHECK:             math.sqrt {{.*}} : vector<16xf32>
// CHECK:             vector.load {{.*}}, vector<2xf32>
// CHECK-COUNT-2:     vector.store {{.*}} : memref<?xbf16, {{.*}}>, vector<16xbf16>
// CHECK:           scf.if
// CHECK-NOT:         bq.philox
func.func @gaussian(%w: tensor<?xbf16>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) -> tensor<?xbf16> {
  %n = bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<gaussian>, group = 8 : i64, rounds = 7 : i64}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xbf16>
  return %n : tensor<?xbf16>
}

// -----

// The gradient reads no noise and stores none: products stay on the stack. Sixteen groups of eight are summed by a tree
// of their eight vectors, and each has its gradient.

// CHECK-LABEL: func.func @gradient(
// CHECK:         memref.alloca() {{.*}} : memref<1024xf32>
// CHECK:         scf.for
// CHECK:           bq.philox {{.*}} {rounds = 10 : i64} : vector<16xi32>
// CHECK-NOT:       math.sqrt
// CHECK:           scf.for {{.*}} -> (vector<16xf32>)
// CHECK-COUNT-8:     vector.load {{.*}} : memref<1024xf32>, vector<16xf32>
// CHECK-COUNT-14:    vector.shuffle
// CHECK:             vector.store {{.*}} : memref<?xf32, {{.*}}>, vector<16xf32>
func.func @gradient(%g: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %r:3 = bq.diffq_noise_grad %g, %b, %s, %c {noise = #bq.noise<uniform>, group = 8 : i64, rounds = 10 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return %r#0, %r#1, %r#2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// -----

// Groups that end anywhere: each element has its step in a buffer.

// CHECK-LABEL: func.func @uneven(
// CHECK:         scf.for
// CHECK:           memref.store {{.*}} : memref<1024xf32>
// CHECK:           bq.philox
// CHECK:           vector.load {{.*}} : memref<1024xf32>, vector<16xf32>
func.func @uneven(%w: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) -> tensor<?xf32> {
  %n = bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<uniform>, group = 20 : i64, rounds = 7 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xf32>
  return %n : tensor<?xf32>
}

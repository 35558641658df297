// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-fake-quantize=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-lower-fake-quantize=cpu=znver4 -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.fake_quantize' op has no schedule: run bq-select-schedule first

// A task is a chunk of 4096 columns of a row. Its scale is that of the row, and never below the least normal number.
// Sixteen elements at a time, then what is left one by one.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[X:[^:]*]]: memref<f32>, %[[SCALE:[^:]*]]: memref<f32>, %[[ZERO:[^:]*]]: memref<f32>, %[[Y:[^:]*]]: memref<f32>,
// CHECK-SAME:    %[[COLUMNS:[^:]*]]: index, %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index) {
// CHECK:         %[[CHUNKS:.*]] = arith.divui %{{.*}}, %c4096 : index
// CHECK:         scf.for %[[TASK:.*]] = %[[BEGIN]] to %[[END]]
// CHECK:           %[[ROW:.*]] = arith.divui %[[TASK]], %[[CHUNKS]] : index
// CHECK:           %[[GIVEN:.*]] = memref.load %{{.*}}[%[[ROW]]] : memref<?xf32, strided<[1]>>
// CHECK:           %[[LEAST:.*]] = arith.constant 1.17549435E-38 : f32
// CHECK:           %[[IS_BELOW:.*]] = arith.cmpf olt, %[[GIVEN]], %[[LEAST]] : f32
// CHECK:           arith.select %[[IS_BELOW]], %[[LEAST]], %[[GIVEN]] : f32
// CHECK:           scf.for
// CHECK:             vector.load {{.*}} vector<16xf32>
// CHECK-DAG:         arith.constant dense<-8.000000e+00> : vector<16xf32>
// CHECK-DAG:         arith.constant dense<7.000000e+00> : vector<16xf32>
// CHECK:             arith.divf {{.*}} : vector<16xf32>
// CHECK:             vector.store
// CHECK:           scf.for
// CHECK:             memref.load
// CHECK:             arith.divf {{.*}} : f32
// CHECK:             memref.store
func.func @int4(%x: tensor<?x?xf32>, %s: tensor<?xf32>) -> tensor<?x?xf32> {
  %y = bq.fake_quantize %x, %s {format = #bq.format<"int4">} : tensor<?x?xf32>, tensor<?xf32>
  return %y : tensor<?x?xf32>
}

// -----

// A zero point is added before rounding and taken off after it. Halves are computed in f32.

// CHECK-LABEL: func.func @uint8(
// CHECK:         scf.for
// CHECK:           arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
// CHECK:           %[[QUOTIENT:.*]] = arith.divf
// CHECK:           arith.addf %[[QUOTIENT]], %[[ZERO:.*]] : vector<16xf32>
// CHECK:           %[[VALUE:.*]] = arith.subf %{{.*}}, %[[ZERO]] : vector<16xf32>
// CHECK:           arith.mulf %{{.*}}, %[[VALUE]]
// CHECK:           arith.truncf {{.*}} : vector<16xf32> to vector<16xf16>
func.func @uint8(%x: tensor<?x?xf16>, %s: tensor<?xf32>, %z: tensor<?xf32>) -> tensor<?x?xf16> {
  %y = bq.fake_quantize %x, %s zero(%z : tensor<?xf32>) {format = #bq.format<"uint8">} : tensor<?x?xf16>, tensor<?xf32>
  return %y : tensor<?x?xf16>
}

// -----

// The sign follows from x itself, so that what x / scale rounds to zero keeps it.

// CHECK-LABEL: func.func @sign(
// CHECK:         %[[X:.*]] = vector.load
// CHECK:         arith.cmpf oge, %[[X]], %{{.*}} : vector<16xf32>
func.func @sign(%x: tensor<?x?xf32>, %s: tensor<?xf32>) -> tensor<?x?xf32> {
  %y = bq.fake_quantize %x, %s {format = #bq.format<"sign">} : tensor<?x?xf32>, tensor<?xf32>
  return %y : tensor<?x?xf32>
}

// -----

// Both gradients in one pass over x and the gradient of y: that of x is stored, that of the scale is summed for the task.

// CHECK-LABEL: func.func @gradient(
// CHECK:         scf.for %[[TASK:.*]] = %
// CHECK:           %[[LANES:.*]] = scf.for {{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK:             vector.load
// CHECK:             vector.load
// CHECK:             %[[OUTSIDE:.*]] = arith.cmpf one
// CHECK:             arith.select %[[OUTSIDE]]
// CHECK:             vector.store
// CHECK:             arith.addf %[[SUM]]
// CHECK:           vector.reduction <add>, %[[LANES]]
// CHECK:           %[[ALL:.*]] = scf.for {{.*}} -> (f32)
// CHECK:           memref.store %[[ALL]], %{{.*}}[%[[TASK]]]
func.func @gradient(%g: tensor<?x?xf32>, %x: tensor<?x?xf32>, %s: tensor<?xf32>) -> (tensor<?x?xf32>, tensor<?xf32>) {
  %dx, %ds = bq.fake_quantize_grad %g, %x, %s {format = #bq.format<"int4">} : tensor<?x?xf32>, tensor<?xf32>
  return %dx, %ds : tensor<?x?xf32>, tensor<?xf32>
}

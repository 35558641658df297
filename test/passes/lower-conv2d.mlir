// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-linear=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 -split-input-file | FileCheck %s --check-prefix=TARGET

// A convolution is the kernel of a linear layer on patches. Its activations are gathered line by line and tap by tap: the
// channels of a pixel are copied in vectors and their greatest magnitude is kept; outside the image there are zeros.
// A patch is the row, so that it is converted where it was copied to.

// CHECK-LABEL: func.func @conv2d_prepare(
// CHECK-SAME:    %[[IMAGES:[^:]*]]: memref<f32>, {{.*}}, %[[GEOMETRY:[^:]*]]: memref<20xi64>,
// CHECK:         %[[X:.*]] = memref.reinterpret_cast %[[IMAGES]]
// CHECK:         memref.load %[[GEOMETRY]]
// CHECK:         %[[PATCH:.*]] = memref.reinterpret_cast {{.*}} : memref<f32> to memref<304xf32
// CHECK:         scf.for %[[R:.*]] = {{.*}} -> (index, index, vector<16xi32>) {
// CHECK:           scf.if {{.*}} -> (vector<16xi32>) {
// CHECK:             scf.for %[[S:.*]] = {{.*}} -> (index, index, vector<16xi32>) {
// CHECK:               scf.if {{.*}} -> (vector<16xi32>) {
// CHECK-COUNT-2:         vector.load %[[X]]{{\[}}
// CHECK-NOT:             vector.load %[[X]]{{\[}}
// CHECK:                 arith.maxui
// CHECK:               } else {
// CHECK:                 vector.store %{{.*}}, %[[PATCH]]{{\[}}
// CHECK:           } else {
// CHECK:             vector.store %{{.*}}, %[[PATCH]]{{\[}}
// CHECK:         vector.reduction <maxui>
// CHECK:         vector.load %[[PATCH]]{{\[}}
// CHECK:         arith.trunci {{.*}} : vector<16xi32> to vector<16xi8>

// CHECK-LABEL: func.func @conv2d(
// CHECK-SAME:    memref<4x9x256xi8>
// CHECK:         bq.dot

// TARGET-LABEL: llvm.func @conv2d_prepare(
// TARGET-NOT:   llvm.call @
// TARGET-LABEL: llvm.func @conv2d(
func.func @conv2d(%x: tensor<?x32x?x?xf32>, %w: !bq.weight<64x288, "int4:g32", f16>) -> tensor<?x64x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, compute = #bq.compute<i8>}
      : (tensor<?x32x?x?xf32>, !bq.weight<64x288, "int4:g32", f16>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}

// -----

// A kernel does one group: half of the rows of the weight, and as many channels as its columns say.

// CHECK-LABEL: func.func @groups(
// CHECK-SAME:    memref<2x9x256xi8>
func.func @groups(%x: tensor<?x64x?x?xf32>, %w: !bq.weight<64x288, "int4:g32", f16>) -> tensor<?x64x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 2, compute = #bq.compute<i8>}
      : (tensor<?x64x?x?xf32>, !bq.weight<64x288, "int4:g32", f16>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}

// -----

// Few channels: taps that are neighbours in memory are copied together, 21 elements in two vectors, else one by one. A
// patch of 147 elements is copied to scratch and from there to the row, which is padded to 160.

// CHECK-LABEL: func.func @few_channels_prepare(
// CHECK:         %[[X:.*]] = memref.reinterpret_cast %{{.*}} to memref<?xf32,
// CHECK:         %[[SCRATCH:.*]] = memref.reinterpret_cast {{.*}} to memref<323xf32
// CHECK-COUNT-2: vector.load %[[X]]{{\[}}
// CHECK-NOT:     vector.load %[[X]]{{\[}}
// CHECK:         memref.load %[[X]]{{\[}}
// CHECK-NOT:     vector.load %[[X]]{{\[}}
// CHECK:         vector.load %[[SCRATCH]]{{\[}}
// CHECK:         vector.reduction <maxui>
func.func @few_channels(%x: tensor<?x3x?x?xf32>, %w: !bq.weight<64x147, "int4", f16>) -> tensor<?x64x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 7, 7>, compute = #bq.compute<i8>}
      : (tensor<?x3x?x?xf32>, !bq.weight<64x147, "int4", f16>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}

// -----

// Activations with one scale: a division, both bounds and a rounding; the scale of each row is the one that was given.

// CHECK-LABEL: func.func @quantized_prepare(
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i32>, %{{[^:]*}}: memref<f32>, %[[SCALE:[^:]*]]: memref<f32>,
// CHECK:         %[[S:.*]] = memref.load %[[SCALE]][] : memref<f32>
// CHECK:         %[[DIVISOR:.*]] = vector.broadcast %[[S]] : f32 to vector<16xf32>
// CHECK:         %[[Q:.*]] = arith.divf %{{.*}}, %[[DIVISOR]] : vector<16xf32>
// CHECK:         %[[LEAST:.*]] = arith.constant dense<-8.000000e+00> : vector<16xf32>
// CHECK:         arith.cmpf olt, %[[Q]], %[[LEAST]]
// CHECK:         %[[MOST:.*]] = arith.constant dense<7.000000e+00> : vector<16xf32>
// CHECK:         arith.cmpf ogt, %{{.*}}, %[[MOST]]
// CHECK:         arith.select %{{.*}}, %[[S]], %{{.*}} : f32
func.func @quantized(%x: tensor<?x16xf32>, %w: !bq.weight<32x16, "int4", f16>, %s: tensor<f32>) -> tensor<?x32xf32> {
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {activationBits = 4, compute = #bq.compute<i8>}
      : (tensor<?x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Factors of columns are taken into the activations, as the column scale of `sign` is.

// CHECK-LABEL: func.func @factors_prepare(
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i32>, %[[F:[^:]*]]: memref<f32>
// CHECK:         %[[VIEW:.*]] = memref.reinterpret_cast %[[F]] {{.*}} to memref<32xf32
// CHECK:         %[[FACTOR:.*]] = vector.load %[[VIEW]]{{\[}}
// CHECK:         arith.mulf %{{.*}}, %[[FACTOR]]
func.func @factors(%x: tensor<1x32xf32>, %w: !bq.weight<32x32, "int4", f32>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {columnFactors, compute = #bq.compute<f32>}
      : (tensor<1x32xf32>, !bq.weight<32x32, "int4", f32>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-quantize=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-lower-quantize=cpu=znver4 -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.quantize' op has no schedule: run bq-select-schedule first

// For each group its range, then its scale as it is stored; then the codes, by that scale, in whole bytes.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[W:[^:]*]]: memref<f32>, %[[CODES:[^:]*]]: memref<i8>, %[[SCALES:[^:]*]]: memref<f16>, %[[ZEROS:[^:]*]]: memref<i8>,
// CHECK-SAME:    %[[STRIDE:[^:]*]]: index, %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index) {
// CHECK:         memref.reinterpret_cast %[[W]] {{.*}} strides: [%[[STRIDE]], 1]
// CHECK:         scf.for %[[ROW:.*]] = %[[BEGIN]] to %[[END]]
// CHECK:           scf.for
// CHECK:             vector.reduction <minnumf>
// CHECK:             vector.reduction <maxnumf>
// CHECK:             %[[SEVEN:.*]] = arith.constant 7.000000e+00 : f32
// CHECK:             arith.divf %{{.*}}, %[[SEVEN]] : f32
// CHECK:             %[[STORED:.*]] = arith.truncf %{{.*}} : f32 to f16
// CHECK:             memref.store %[[STORED]]
// CHECK:           scf.for
// CHECK:             memref.load {{.*}} : memref<?x2xf16,
// CHECK:             arith.divf {{.*}} : vector<16xf32>
// CHECK:             arith.fptosi {{.*}} : vector<16xf32> to vector<16xi32>
// CHECK:             vector.store {{.*}} : memref<?x16xi8, strided<[16, 1]>>, vector<8xi8>
func.func @int4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "int4:g16", f16> {
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "int4:g16", f16>
  return %w : !bq.weight<?x32, "int4:g16", f16>
}

// -----

// The zero point follows from the scale as stored, and is stored too.

// CHECK-LABEL: func.func @uint4(
// CHECK:         %[[STORED:.*]] = arith.truncf %{{.*}} : f32 to f16
// CHECK:         %[[SCALE:.*]] = arith.extf %[[STORED]] : f16 to f32
// CHECK:         arith.divf %{{.*}}, %[[SCALE]] : f32
// CHECK:         %[[ZERO:.*]] = arith.fptoui %{{.*}} : f32 to i8
// CHECK:         memref.store %[[ZERO]], %{{.*}} : memref<?x2xi8,
func.func @uint4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "uint4:g16", f16, zero = u8> {
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "uint4:g16", f16, zero = u8>
  return %w : !bq.weight<?x32, "uint4:g16", f16, zero = u8>
}

// -----

// A step of sixteen codes that a group's end cuts is gathered first, and so is what is left of a row.

// CHECK-LABEL: func.func @ragged(
// CHECK:         memref.alloca() {{.*}} : memref<16xf32>
// CHECK:         memref.alloca() {{.*}} : memref<16xi8>
// CHECK:         vector.load {{.*}} : memref<16xf32>, vector<16xf32>
// CHECK:         memref.store {{.*}} : memref<?x14xi8,
func.func @ragged(%x: tensor<?x36xf32>) -> !bq.weight<?x36, "int3:g12", f32> {
  %w = bq.quantize %x : tensor<?x36xf32> -> !bq.weight<?x36, "int3:g12", f32>
  return %w : !bq.weight<?x36, "int3:g12", f32>
}

// -----

// The nearest of sixteen entries.

// CHECK-LABEL: func.func @nf4(
// CHECK-COUNT-15: arith.cmpf olt, {{.*}} : vector<16xf32>
func.func @nf4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "nf4", f32> {
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "nf4", f32>
  return %w : !bq.weight<?x32, "nf4", f32>
}

// -----

// Signs alone: the scales are the caller's and are not written.

// CHECK-LABEL: func.func @sign(
// CHECK-NOT:     vector.reduction <maxnumf>
// CHECK:         arith.cmpf oge, {{.*}} : vector<16xf32>
// CHECK:         vector.store {{.*}} : memref<?x4xi8, strided<[4, 1]>>, vector<2xi8>
// CHECK:       return
func.func @sign(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "sign", f32> {
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "sign", f32>
  return %w : !bq.weight<?x32, "sign", f32>
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-dequantize=cpu=znver4 -cse -split-input-file | FileCheck %s

// Row by row and group by group; sixteen codes, here eight bytes, at a time, then one by one. A group of 20 is one step
// and four codes more.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[CODES:[^:]*]]: memref<i8>, %[[SCALES:[^:]*]]: memref<f16>, %{{[^:]*}}: memref<i8>, %{{[^:]*}}: memref<f32>,
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %[[Y:[^:]*]]: memref<f16>, %[[BEGIN:[^:]*]]: index, %[[END:[^:]*]]: index) {
// CHECK:         scf.for %[[ROW:.*]] = %[[BEGIN]] to %[[END]]
// CHECK:           scf.for %[[GROUP:.*]] =
// CHECK:             %[[SCALE:.*]] = memref.load %{{.*}}[%[[ROW]], %[[GROUP]]] : memref<?x2xf16,
// CHECK:             scf.for
// CHECK:               %[[BYTES:.*]] = vector.load {{.*}} : memref<?xi8, strided<[1]>>, vector<8xi8>
// CHECK:               vector.shuffle %[[BYTES]]
// CHECK:               arith.shrui {{.*}} : vector<16xi32>
// CHECK:               arith.shrsi {{.*}} : vector<16xi32>
// CHECK:               arith.sitofp {{.*}} : vector<16xi32> to vector<16xf32>
// CHECK:               vector.store {{.*}} : memref<?x40xf16, strided<[40, 1]>>, vector<16xf16>
// CHECK:             scf.for
// CHECK:               memref.load {{.*}} : memref<?xi8, strided<[1]>>
// CHECK:               memref.store {{.*}} : memref<?x40xf16, strided<[40, 1]>>
func.func @int4(%w: !bq.weight<?x40, "int4:g20", f16>) -> tensor<?x40xf16> {
  %x = bq.dequantize %w : !bq.weight<?x40, "int4:g20", f16> -> tensor<?x40xf16>
  return %x : tensor<?x40xf16>
}

// -----

// Three bits: sixteen codes are six bytes, and a code may span two.

// CHECK-LABEL: func.func @uint3(
// CHECK:         vector.load {{.*}} : memref<?xi8, strided<[1]>>, vector<6xi8>
// CHECK:         arith.subf {{.*}} : vector<16xf32>
// CHECK:         arith.mulf {{.*}} : vector<16xf32>
func.func @uint3(%w: !bq.weight<?x32, "uint3", f32, zero = u8>) -> tensor<?x32xf32> {
  %x = bq.dequantize %w : !bq.weight<?x32, "uint3", f32, zero = u8> -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}

// -----

// Groups that do not start at a whole byte are taken code by code.

// CHECK-LABEL: func.func @odd_groups(
// CHECK-NOT:     vector.load {{.*}} : memref<?xi8
// CHECK:         memref.load {{.*}} : memref<?xi8
// CHECK:       return
func.func @odd_groups(%w: !bq.weight<?x14, "int3:g7", f32>) -> tensor<?x14xf32> {
  %x = bq.dequantize %w : !bq.weight<?x14, "int3:g7", f32> -> tensor<?x14xf32>
  return %x : tensor<?x14xf32>
}

// -----

// A table of four entries is repeated to sixteen, of which the lowest bits of a code choose.

// CHECK-LABEL: func.func @table(
// CHECK:         %[[FOUR:.*]] = vector.load {{.*}} : memref<4xf32, strided<[1]>>, vector<4xf32>
// CHECK:         %[[TABLE:.*]] = vector.shuffle %[[FOUR]], %[[FOUR]] [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
// CHECK:         bq.lookup %[[TABLE]], %{{.*}} : vector<16xf32>, vector<16xi32> -> vector<16xf32>
func.func @table(%w: !bq.weight<?x16, "lut2", f32>) -> tensor<?x16xf32> {
  %x = bq.dequantize %w : !bq.weight<?x16, "lut2", f32> -> tensor<?x16xf32>
  return %x : tensor<?x16xf32>
}

// -----

// `sign` has one scale for a row and one for each column.

// CHECK-LABEL: func.func @sign(
// CHECK-SAME:    %{{[^:]*}}: memref<i8>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i8>, %{{[^:]*}}: memref<f32>, %[[B:[^:]*]]: memref<f32>
// CHECK:         %[[COLUMNS:.*]] = memref.reinterpret_cast %[[B]] {{.*}} to memref<16xf32
// CHECK:         vector.load {{.*}} : memref<?xi8, strided<[1]>>, vector<2xi8>
// CHECK:         %[[SCALE:.*]] = vector.load %[[COLUMNS]]
// CHECK:         arith.mulf %{{.*}}, %[[SCALE]] : vector<16xf32>
func.func @sign(%w: !bq.weight<?x16, "sign", f32>) -> tensor<?x16xf32> {
  %x = bq.dequantize %w : !bq.weight<?x16, "sign", f32> -> tensor<?x16xf32>
  return %x : tensor<?x16xf32>
}

// -----

// An embedding is the same for the rows that its indices name.

// CHECK-LABEL: func.func @embedding(
// CHECK-SAME:    %[[INDICES:[^:]*]]: memref<i64>, %{{[^:]*}}: memref<i8>
// CHECK:         scf.for %[[I:.*]] = %{{.*}} to
// CHECK:           %[[INDEX:.*]] = memref.load %{{.*}}[%[[I]]] : memref<?xi64, strided<[1]>>
// CHECK:           %[[ROW:.*]] = arith.index_cast %[[INDEX]] : i64 to index
// CHECK:           memref.load %{{.*}}[%[[ROW]], %{{.*}}] : memref<?x1xf32,
// CHECK:           vector.store %{{.*}}, %{{.*}}[%[[I]], %{{.*}}] : memref<?x32xf32,
func.func @embedding(%i: tensor<?xi64>, %w: !bq.weight<?x32, "int8", f32>) -> tensor<?x32xf32> {
  %x = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x32, "int8", f32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}

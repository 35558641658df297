// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-linear=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 -split-input-file | FileCheck %s --check-prefix=TARGET

// Small groups: one kernel for all of them, that reads images and geometry and prepares nothing. Weights are decoded
// for a piece of the channels; then the sums of eight pixels are in registers while the lines of the kernel pass.
// Neighbouring pixels are ten vectors for three taps; where some lie outside the image, they are masked, and lines
// outside are left out. The line that the next outputs will read anew is asked for.

// CHECK-NOT:     _prepare
// CHECK-LABEL: func.func @depthwise(
// CHECK-SAME:    memref<2x1x128xi8>, {{.*}}, %[[IMAGES:[^:]*]]: memref<f32>, %[[GEOMETRY:[^:]*]]: memref<20xi64>,
// CHECK:         %[[X:.*]] = memref.reinterpret_cast %[[IMAGES]]
// CHECK:         %[[WEIGHTS:.*]] = memref.view {{.*}} to memref<16x32xf32>
// CHECK:         bq.lookup
// CHECK:         vector.store %{{.*}}, %[[WEIGHTS]]{{\[}}
// CHECK-COUNT-8:   memref.prefetch %[[X]]{{\[}}
// CHECK-NOT:       memref.prefetch
// CHECK:         scf.for {{.*}} -> (vector<16xf32>, {{.*}}) {
// CHECK-COUNT-3:   vector.load %[[WEIGHTS]]{{\[}}
// CHECK-NOT:       arith.andi
// CHECK-COUNT-10:  vector.load %[[X]]{{\[}}
// CHECK-NOT:       vector.load %[[X]]{{\[}}
// CHECK:           scf.yield
// CHECK-COUNT-8:   vector.store %{{.*}} : memref<?x32xf32
// CHECK-NOT:       vector.store %{{.*}} : memref<?x32xf32
// CHECK:         scf.for {{.*}} -> (vector<16xf32>, {{.*}}) {
// CHECK:           scf.if {{.*}} -> (vector<16xf32>,
// CHECK-COUNT-10:    arith.andi {{.*}} : vector<16xi32>
// Other strides and dilations: a load for each pixel and tap.
// CHECK:         scf.for {{.*}} -> (vector<16xf32>, {{.*}}) {
// CHECK-COUNT-24:  vector.load %[[X]]{{\[}}
// CHECK-NOT:       vector.load %[[X]]{{\[}}
// CHECK:           scf.yield

// TARGET-NOT:   _prepare
// TARGET-LABEL: llvm.func @depthwise(
// TARGET-NOT:   llvm.call @
func.func @depthwise(%x: tensor<?x32x?x?xf32>, %w: !bq.weight<32x9, "int4", f16>) -> tensor<?x32x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 32, compute = #bq.compute<i8>}
      : (tensor<?x32x?x?xf32>, !bq.weight<32x9, "int4", f16>) -> tensor<?x32x?x?xf32>
  return %y : tensor<?x32x?x?xf32>
}

// -----

// Twenty outputs are two vectors that overlap. Two outputs of a group read the same two channels, by a shuffle for each;
// bf16 rounds what is loaded. With a long formula at the end there is one copy of it for each way a tile is read.

// CHECK-LABEL: func.func @pairs(
// CHECK:         arith.minsi %{{.*}}, %c4
// CHECK:         vector.load {{.*}} : memref<?xbf16, {{.*}}>, vector<16xbf16>
// CHECK:         vector.shuffle %{{.*}}, %{{.*}} [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14]
// CHECK:         vector.shuffle %{{.*}}, %{{.*}} [1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15]
// CHECK-COUNT-4: math.erf
// CHECK-NOT:     math.erf
func.func @pairs(%x: tensor<?x20x?x?xbf16>, %w: !bq.weight<20x18, "int4", f16>) -> tensor<?x20x?x?xbf16> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 10, compute = #bq.compute<f32>,
                         activation = #bq.activation<gelu>}
      : (tensor<?x20x?x?xbf16>, !bq.weight<20x18, "int4", f16>) -> tensor<?x20x?x?xbf16>
  return %y : tensor<?x20x?x?xbf16>
}

// -----

// Groups of three outputs are products of their own.

// CHECK-LABEL: func.func @triples_prepare(
func.func @triples(%x: tensor<?x30x?x?xf32>, %w: !bq.weight<30x27, "int4", f16>) -> tensor<?x30x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 10, compute = #bq.compute<f32>}
      : (tensor<?x30x?x?xf32>, !bq.weight<30x27, "int4", f16>) -> tensor<?x30x?x?xf32>
  return %y : tensor<?x30x?x?xf32>
}

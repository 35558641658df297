// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-linear=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: bq-opt %s -bq-select-schedule=cpu=haswell -bq-lower-linear=cpu=haswell -cse -split-input-file \
// RUN:   | FileCheck %s --check-prefix=AVX2

// A layer becomes two functions with the signatures of dialect/core/KernelAbi.h. One row, i8: each line of codes is loaded
// once; both halves of its bytes are masked where they stand and met by a broadcast word of activations; the upper half,
// worth sixteen times as much, is shifted once for the segment. The sum starts from what zero point 8 takes away.

// CHECK-LABEL: func.func @stream_i8_prepare(
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i32>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<f32>,
// CHECK-SAME:    %{{[^:]*}}: memref<20xi64>, %{{[^:]*}}: memref<i8>,
// CHECK-SAME:    %{{[^:]*}}: memref<i32>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: index,
// CHECK-SAME:    %{{[^:]*}}: index, %{{[^:]*}}: index, %{{[^:]*}}: index, %{{[^:]*}}: index, %{{[^:]*}}: index) {
// CHECK:         vector.reduction <maxui>
// CHECK:         arith.trunci {{.*}} : vector<16xi32> to vector<16xi8>

// CHECK-LABEL: func.func @stream_i8(
// CHECK-SAME:    %[[CODES:[^:]*]]: memref<2x1x128xi8>, %[[SCALES:[^:]*]]: memref<2x1x16xf16>
// CHECK:         scf.for %[[BLOCK:.*]] = %{{.*}} to
// CHECK:           scf.for %[[SEGMENT:.*]] = %{{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK:             %[[ZERO:.*]] = arith.constant -8 : i32
// CHECK:             %[[TAKEN:.*]] = arith.muli %{{.*}}, %[[ZERO]] : i32
// CHECK:             %[[START:.*]] = vector.broadcast %[[TAKEN]] : i32 to vector<16xi32>
// CHECK:             %[[LINE:.*]] = vector.load %[[CODES]][%[[BLOCK]], %[[SEGMENT]], %{{.*}}] {alignment = 64 : i64} : memref<2x1x128xi8>, vector<64xi8>
// CHECK:             %[[LOW:.*]] = arith.constant dense<15> : vector<64xi8>
// CHECK-NEXT:        %[[W0:.*]] = arith.andi %[[LINE]], %[[LOW]]
// CHECK:             %[[HIGH:.*]] = arith.constant dense<-16> : vector<64xi8>
// CHECK-NEXT:        %[[W1:.*]] = arith.andi %[[LINE]], %[[HIGH]]
// CHECK:             bq.dot %[[START]], %[[W0]], %{{.*}} {max = 15 : i64} : vector<16xi32>, vector<64xi8>
// CHECK:             bq.dot %{{.*}}, %[[W1]], %{{.*}} {max = 240 : i64} : vector<16xi32>, vector<64xi8>
// CHECK:             vector.load %[[CODES]]
// CHECK-NOT:         vector.load %[[CODES]]
// CHECK:             vector.load %[[SCALES]][%[[BLOCK]], %[[SEGMENT]], %{{.*}}] : memref<2x1x16xf16>, vector<16xf16>
// CHECK:             arith.shrsi %{{.*}} : vector<16xi32>
// CHECK:             math.fma %{{.*}}, %{{.*}}, %[[SUM]] : vector<16xf32>
// CHECK:           vector.store %{{.*}} : memref<?x32xf32, strided<[?, 1]>>, vector<16xf32>

// Without a dot product of bytes that does not saturate, codes are shifted down before they are masked.

// AVX2-LABEL: func.func @stream_i8(
// AVX2-SAME:    %{{[^:]*}}: memref<4x1x64xi8>, %{{[^:]*}}: memref<4x1x8xf16>
// AVX2:         arith.shrui %{{.*}} : vector<8xi32>
// AVX2:         bq.dot %{{.*}} {max = 15 : i64} : vector<8xi32>, vector<32xi8>
// AVX2-NOT:     max = 240
// AVX2:       return
func.func @stream_i8(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// Two rows: each vector of weights meets both, and is decoded once. There is one epilogue, in a loop.

// CHECK-LABEL: func.func @stream_two_rows(
// CHECK:         scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK:           %[[W:.*]] = arith.andi %{{.*}} : vector<64xi8>
// CHECK:           bq.dot %{{.*}}, %[[W]],
// CHECK:           bq.dot %{{.*}}, %[[W]],
// CHECK:         scf.for
// CHECK:           vector.store {{.*}} : memref<?x32xf32,
func.func @stream_two_rows(%x: tensor<2x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<2x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<2x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<2x32xf32>
  return %y : tensor<2x32xf32>
}

// -----

// i16: the activations are two planes of bytes, and each vector of weights meets both. The high plane is worth 2^7.

// CHECK-LABEL: func.func @stream_i16_prepare(
// CHECK:         memref.reinterpret_cast {{.*}} to memref<2x1x?x16xi8,
// CHECK-COUNT-2: vector.store {{.*}} : memref<2x1x?x16xi8,
// CHECK-LABEL: func.func @stream_i16(
// CHECK-DAG:     %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:     %[[C1:.*]] = arith.constant 1 : index
// CHECK:         %[[W:.*]] = arith.andi %{{.*}} : vector<64xi8>
// CHECK:         %[[HIGH:.*]] = memref.load %{{.*}}[%[[C0]], %[[S:.*]], %{{.*}}, %[[AT:.*]]] : memref<2x1x?x4xi32,
// CHECK:         %[[XH:.*]] = vector.bitcast %{{.*}} : vector<16xi32> to vector<64xi8>
// CHECK:         bq.dot %{{.*}}, %[[W]], %[[XH]]
// CHECK:         memref.load %{{.*}}[%[[C1]], %[[S]], %{{.*}}, %[[AT]]] : memref<2x1x?x4xi32,
// CHECK:         %[[XL:.*]] = vector.bitcast %{{.*}} : vector<16xi32> to vector<64xi8>
// CHECK:         bq.dot %{{.*}}, %[[W]], %[[XL]]
// CHECK:         %[[SEVEN:.*]] = arith.constant dense<7> : vector<16xi32>
// CHECK:         arith.shli %{{.*}}, %[[SEVEN]]
func.func @stream_i16(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i16>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// Three bits are two planes: 2 low bits and the high one, joined before the product.

// CHECK-LABEL: func.func @stream_planes(
// CHECK-SAME:    memref<2x1x192xi8>
// CHECK:         %[[LOWS:.*]] = arith.constant dense<50529027> : vector<16xi32>
// CHECK:         %[[LOW:.*]] = arith.andi %{{.*}}, %[[LOWS]] : vector<16xi32>
// CHECK:         %[[TOPS:.*]] = arith.constant dense<67372036> : vector<16xi32>
// CHECK:         %[[TOP:.*]] = arith.andi %{{.*}}, %[[TOPS]] : vector<16xi32>
// CHECK:         %[[JOINED:.*]] = arith.ori %[[LOW]], %[[TOP]] : vector<16xi32>
// CHECK:         %[[CODE:.*]] = vector.bitcast %[[JOINED]] : vector<16xi32> to vector<64xi8>
// CHECK:         bq.dot %{{.*}}, %[[CODE]], %{{.*}} {max = 7 : i64}
func.func @stream_planes(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int3", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i16>} : (tensor<1x16xf32>, !bq.weight<32x16, "int3", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// Zero points for each group: loaded by lane, times the sum of the activations.

// CHECK-LABEL: func.func @stream_zero_points(
// CHECK-SAME:    %[[ZEROS:[^:]*]]: memref<2x1x16xi8>, %{{[^:]*}}: memref<184xi8>
// CHECK:         %[[BYTES:.*]] = vector.load %[[ZEROS]]
// CHECK:         %[[WIDE:.*]] = arith.extui %[[BYTES]] : vector<16xi8> to vector<16xi32>
// CHECK:         %[[Z:.*]] = arith.sitofp %[[WIDE]]
// CHECK:         math.fma %[[Z]], %{{.*}} : vector<16xf32>
func.func @stream_zero_points(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "uint4", f16, zero = u8>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<32x16, "uint4", f16, zero = u8>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// Codes of a table of bytes are looked up: their least value is 1, above a zero of 128.

// CHECK-LABEL: func.func @stream_table(
// CHECK-SAME:    %[[TABLE:[^:]*]]: memref<184xi8>
// CHECK:         %[[VALUES:.*]] = vector.load %[[TABLE]]{{.*}} : memref<184xi8>, vector<16xi8>
// CHECK:         %[[W:.*]] = bq.lookup %[[VALUES]], %{{.*}} : vector<16xi8>, vector<64xi8> -> vector<64xi8>
// CHECK:         bq.dot %{{.*}}, %[[W]], %{{[^ ]*}} : vector<16xi32>, vector<64xi8>
func.func @stream_table(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "nf4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<32x16, "nf4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// bf16: pairs of activations, codes to bf16 by a lookup. Where the CPU has no such product the activations are rounded
// and the products are f32.

// CHECK-LABEL: func.func @stream_bf16(
// CHECK:         %[[W:.*]] = bq.lookup %{{.*}} : vector<32xi16>, vector<32xi16> -> vector<32xi16>
// CHECK:         %[[WB:.*]] = vector.bitcast %[[W]] : vector<32xi16> to vector<32xbf16>
// CHECK:         bq.dot %{{.*}}, %[[WB]], %{{.*}} : vector<16xf32>, vector<32xbf16>
// AVX2-LABEL: func.func @stream_bf16_prepare(
// AVX2:         arith.truncf %{{.*}} : vector<16xf32> to vector<16xbf16>
// AVX2-LABEL: func.func @stream_bf16(
// AVX2-NOT:     bq.dot
// AVX2:         math.fma {{.*}} : vector<8xf32>
func.func @stream_bf16(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// f32: one code of each 32-bit lane at a time, activations as they are.

// CHECK-LABEL: func.func @stream_f32_prepare(
// CHECK-NOT:     arith.truncf
// CHECK-LABEL: func.func @stream_f32(
// CHECK-NOT:     bq.dot
// CHECK:         %[[W:.*]] = bq.lookup %{{.*}} : vector<16xf32>, vector<16xi32> -> vector<16xf32>
// CHECK:         math.fma %[[W]], %{{.*}} : vector<16xf32>
// AVX2-LABEL: func.func @stream_f32(
// AVX2:         %[[CODE:.*]] = arith.andi %{{.*}} : vector<8xi32>
// AVX2:         %[[FLOAT:.*]] = arith.sitofp %[[CODE]]
// AVX2:         %[[W:.*]] = arith.subf %[[FLOAT]]
// AVX2:         math.fma %[[W]],
func.func @stream_f32(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// Any number of rows: for each block of rows and each segment the weights are decoded to scratch, which tiles of
// activations then read; a loop for what whole tiles leave.

// CHECK-LABEL: func.func @panel_i8(
// CHECK:         %[[PANEL:.*]] = memref.reinterpret_cast {{.*}} to memref<{{[0-9]+}}xf32, strided<[1], offset: {{[0-9]+}}>>
// CHECK:         scf.for %[[TASK:.*]] =
// CHECK:           scf.for %[[ROWS:.*]] =
// CHECK:             scf.for %[[SEGMENT:.*]] =
// CHECK:               scf.for %[[TILE:.*]] =
// CHECK:                 vector.load {{.*}} : memref<8x1x128xi8>, vector<64xi8>
// CHECK:                 vector.store %{{.*}}, %[[PANEL]]
// CHECK:               scf.for
// CHECK:                 scf.for %[[WORD:.*]] = {{.*}} iter_args
// CHECK:                   vector.load %[[PANEL]]
// CHECK:                   bq.dot %{{.*}} {max = 15 : i64}
func.func @panel_i8(%x: tensor<?x16xf32>, %w: !bq.weight<128x16, "int4", f16>) -> tensor<?x128xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<?x16xf32>, !bq.weight<128x16, "int4", f16>) -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// -----

// 40 rows of the weight are two and a half vectors: what lies beyond is neither read from the bias nor written.

// CHECK-LABEL: func.func @ragged(
// CHECK:         %[[COUNT:.*]] = arith.index_cast %{{.*}} : index to i32
// CHECK:         %[[LEFT:.*]] = vector.broadcast %[[COUNT]] : i32 to vector<16xi32>
// CHECK:         %[[MASK:.*]] = arith.cmpi slt, %{{.*}}, %[[LEFT]] : vector<16xi32>
// CHECK:         vector.maskedload %{{.*}}, %[[MASK]], %{{.*}} : memref<40xf32>
// CHECK:         vector.maskedstore %{{.*}}, %[[MASK]], %{{.*}} : memref<?x40xf32,
// CHECK-NOT:     vector.store
// CHECK:       return
func.func @ragged(%x: tensor<1x16xf32>, %w: !bq.weight<40x16, "int4", f16>, %b: tensor<40xf32>) -> tensor<1x40xf32> {
  %y = bq.linear %x, %w bias(%b : tensor<40xf32>) {compute = #bq.compute<i8>}
      : (tensor<1x16xf32>, !bq.weight<40x16, "int4", f16>) -> tensor<1x40xf32>
  return %y : tensor<1x40xf32>
}

// -----

// Bias and activation follow the scale of the row, before the one rounding of the result.

// CHECK-LABEL: func.func @epilogue(
// CHECK:         %[[SCALED:.*]] = arith.mulf
// CHECK:         %[[BIAS:.*]] = vector.load {{.*}} : memref<32xf32>, vector<16xf32>
// CHECK:         %[[X:.*]] = arith.addf %[[SCALED]], %[[BIAS]]
// CHECK:         %[[ERF:.*]] = math.erf
// CHECK:         %[[PLUS:.*]] = arith.addf %[[ERF]],
// CHECK:         %[[Y:.*]] = arith.mulf %{{.*}}, %[[PLUS]] : vector<16xf32>
// CHECK-NEXT:    arith.truncf %[[Y]] : vector<16xf32> to vector<16xbf16>
func.func @epilogue(%x: tensor<1x16xbf16>, %w: !bq.weight<32x16, "int4", f16>, %b: tensor<32xf32>) -> tensor<1x32xbf16> {
  %y = bq.linear %x, %w bias(%b : tensor<32xf32>) {activation = #bq.activation<gelu>, compute = #bq.compute<i8>}
      : (tensor<1x16xbf16>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xbf16>
  return %y : tensor<1x32xbf16>
}

// -----

// Columns are gathered when activations are converted; the kernel itself does not know of it.

// CHECK-LABEL: func.func @permuted_prepare(
// CHECK-SAME:    %[[PERMUTATION:[^:]*]]: memref<i32>
// CHECK:         %[[VIEW:.*]] = memref.reinterpret_cast %[[PERMUTATION]] {{.*}} to memref<16xi32
// CHECK:         %[[FROM:.*]] = memref.load %[[VIEW]]
// CHECK:         %[[COLUMN:.*]] = arith.index_cast %[[FROM]] : i32 to index
// CHECK:         memref.load %{{.*}}[%{{.*}}, %[[COLUMN]]] : memref<?x16xf32,
func.func @permuted(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, permuted} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// The column scale of `sign` is taken into the activations.

// CHECK-LABEL: func.func @sign_prepare(
// CHECK-SAME:    %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i32>, %[[B:[^:]*]]: memref<f32>
// CHECK:         %[[VIEW:.*]] = memref.reinterpret_cast %[[B]] {{.*}} to memref<32xf32
// CHECK:         %[[SCALE:.*]] = vector.load %[[VIEW]]{{\[}}
// CHECK:         arith.mulf %{{.*}}, %[[SCALE]]
func.func @sign(%x: tensor<1x32xf32>, %w: !bq.weight<32x32, "sign", f32>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x32xf32>, !bq.weight<32x32, "sign", f32>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

// The last resort goes over the rows one by one.

// CHECK-LABEL: func.func @reference(
// CHECK:         scf.for %[[BLOCK:.*]] =
// CHECK:           scf.for %[[ROW:.*]] =
// CHECK:             bq.dot
// CHECK:             vector.store %{{.*}}, %{{.*}}[%[[ROW]], %{{.*}}] : memref<?x32xf32,
func.func @reference(%x: tensor<9x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<9x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<9x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<9x32xf32>
  return %y : tensor<9x32xf32>
}

// -----

// A function without a layer stays as it is.

// CHECK-LABEL: func.func @no_layer(
// CHECK-NEXT: return
func.func @no_layer(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  return %x : tensor<?x32xf32>
}

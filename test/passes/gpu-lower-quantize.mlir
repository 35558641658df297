// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-quantize -cse -split-input-file | FileCheck %s

// A block does eight groups of 128, a warp each in turn: the range by shuffles, and by one lane the scale as it is
// stored, of which the block keeps a copy. Behind a barrier each thread makes eight codes by it, which are four bytes.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[W:[^:]*]]: !bqgpu.ptr<f32>, %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %[[SCALES:[^:]*]]: !bqgpu.ptr<i16>,
// CHECK-SAME:    bqgpu.grid_y = 4 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[KEPT:.*]] = bqgpu.shared
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             arith.minnumf
// CHECK:             arith.maxnumf
// CHECK-COUNT-10:  bqgpu.shuffle_xor
// CHECK:           scf.if
// CHECK:             %[[SEVEN:.*]] = arith.constant 7.000000e+00 : f32
// CHECK:             arith.divf %{{.*}}, %[[SEVEN]] : f32
// CHECK:             %[[BITS:.*]] = bqgpu.round f16
// CHECK:             %[[STORED:.*]] = bqgpu.extend f16 %[[BITS]]
// CHECK:             bqgpu.store %{{.*}}, %[[SCALES]]
// CHECK:             bqgpu.store %[[STORED]], %[[KEPT]]
// CHECK:         bqgpu.barrier
// CHECK:         scf.if
// CHECK:           %[[SCALE:.*]] = bqgpu.load %[[KEPT]]
// CHECK:           arith.divf %{{.*}}, %[[SCALE]] : f32
// CHECK:           math.roundeven
// CHECK-NOT:       bqgpu.load %[[KEPT]]
// CHECK-COUNT-4:   bqgpu.store %{{.*}}, %[[CODES]]
// CHECK-NOT:       bqgpu.store
// CHECK:         return
func.func @int4(%x: tensor<?x4096xf32>) -> !bq.weight<?x4096, "int4:g128", f16> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x4096xf32> -> !bq.weight<?x4096, "int4:g128", f16>
  return %w : !bq.weight<?x4096, "int4:g128", f16>
}

// -----

// A group of more than 1024 columns is done by the whole block, which combines its warps' ranges by shared memory, and
// whose threads make more than one piece of codes each.

// CHECK-LABEL: func.func @whole_row(
// CHECK-SAME:    bqgpu.grid_y = 1 : i32
// CHECK-COUNT-5: bqgpu.shuffle_xor
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.barrier
// CHECK-COUNT-5: bqgpu.shuffle_xor
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK:           bqgpu.store %{{.*}} : i32, !bqgpu.ptr<i8>, i64
func.func @whole_row(%x: tensor<?x4096xf32>) -> !bq.weight<?x4096, "int8", f32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x4096xf32> -> !bq.weight<?x4096, "int8", f32>
  return %w : !bq.weight<?x4096, "int8", f32>
}

// -----

// The zero point follows from the scale as stored, and is stored and kept too.

// CHECK-LABEL: func.func @uint4(
// CHECK-SAME:    %[[ZEROS:[^:]*]]: !bqgpu.ptr<i8>, %{{[^:]*}}: i64, %{{[^:]*}}: i64)
// CHECK:         %[[STORED:.*]] = bqgpu.extend f16
// CHECK:         arith.divf %{{.*}}, %[[STORED]] : f32
// CHECK:         %[[ZERO:.*]] = math.roundeven
// CHECK:         %[[BYTE:.*]] = arith.fptosi %[[ZERO]] : f32 to i32
// CHECK:         bqgpu.store %[[BYTE]], %[[ZEROS]]
// CHECK:         bqgpu.store %[[ZERO]], %[[KEPT:.*]][%{{.*}}] : f32, !bqgpu.ptr<f32, shared>
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.load %[[KEPT]]
func.func @uint4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "uint4:g16", f16, zero = u8> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x32xf32> -> !bq.weight<?x32, "uint4:g16", f16, zero = u8>
  return %w : !bq.weight<?x32, "uint4:g16", f16, zero = u8>
}

// -----

// Groups of 12 columns cut pieces, so that each column looks up its own. A block does 1032 columns, whole groups and
// whole pieces; what is left of a row after those is four columns, whose codes are two bytes, the last half full.

// CHECK-LABEL: func.func @ragged(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<f32>,
// CHECK-SAME:    bqgpu.grid_y = 2 : i32
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK-COUNT-8:   bqgpu.load %{{.*}} : !bqgpu.ptr<f32, shared>, i32 -> f32
// CHECK-COUNT-3:   bqgpu.store %{{.*}}, %[[CODES]]
// CHECK-NOT:       bqgpu.store
// CHECK:         scf.if
// CHECK-COUNT-4:   bqgpu.load %{{.*}} : !bqgpu.ptr<f32, shared>, i32 -> f32
// CHECK-COUNT-2:   bqgpu.store %{{.*}}, %[[CODES]]
// CHECK-NOT:       bqgpu.store
// CHECK:         return
func.func @ragged(%x: tensor<?x1044xf32>) -> !bq.weight<?x1044, "int3:g12", f32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x1044xf32> -> !bq.weight<?x1044, "int3:g12", f32>
  return %w : !bq.weight<?x1044, "int3:g12", f32>
}

// -----

// The nearest of sixteen entries, by halving the fifteen numbers where the next becomes the nearer; of fp4 seven, as its
// entries are the same for either sign.

// CHECK-LABEL: func.func @nf4(
// CHECK:         bqgpu.barrier
// CHECK-COUNT-4: arith.cmpf ogt, {{.*}} : f32
// CHECK:         bqgpu.load
func.func @nf4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "nf4", f32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x32xf32> -> !bq.weight<?x32, "nf4", f32>
  return %w : !bq.weight<?x32, "nf4", f32>
}

// -----

// CHECK-LABEL: func.func @fp4(
// CHECK:         bqgpu.barrier
// CHECK:         %[[LIMIT:.*]] = arith.constant 1.750000e+00 : f32
// CHECK:         %[[MAGNITUDE:.*]] = math.absf
// CHECK:         arith.cmpf ogt, %[[MAGNITUDE]], %[[LIMIT]] : f32
// CHECK-COUNT-2: arith.cmpf ogt, %[[MAGNITUDE]]
// CHECK-NOT:     arith.cmpf ogt
// CHECK:         arith.cmpf olt
func.func @fp4(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "fp4", f32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x32xf32> -> !bq.weight<?x32, "fp4", f32>
  return %w : !bq.weight<?x32, "fp4", f32>
}

// -----

// Signs alone: the scales are the caller's and are not written, and short rows share a block.

// CHECK-LABEL: func.func @sign(
// CHECK-SAME:    bqgpu.rows_per_block = 32 : i32
// CHECK-NOT:     bqgpu.barrier
// CHECK:         arith.cmpf oge, {{.*}} : f32
// CHECK:         bqgpu.store %{{.*}} : i32, !bqgpu.ptr<i8>, i64
// CHECK-NOT:     bqgpu.store
// CHECK:       return
func.func @sign(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "sign", f32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x32xf32> -> !bq.weight<?x32, "sign", f32>
  return %w : !bq.weight<?x32, "sign", f32>
}

// -----

// Of mixed a launch does the groups of one width: eight codes of a thread, which are whole bytes, whichever groups they
// are of, in two words. Which element a code is of follows from the order of groups.

// CHECK-LABEL: func.func @mixed(
// CHECK-SAME:    %[[W:[^:]*]]: !bqgpu.ptr<i16>, %[[ORDER:[^:]*]]: !bqgpu.ptr<i32>, %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %[[LEAST:[^:]*]]: f32, %[[GREATEST:[^:]*]]: f32, %[[BITS:[^:]*]]: i32
// CHECK:         %[[RANGE:.*]] = arith.subf %[[GREATEST]], %[[LEAST]]
// CHECK:         scf.if
// CHECK:           scf.for {{.*}} -> (i64, i64)
// CHECK:             bqgpu.load %[[ORDER]]
// CHECK:             bqgpu.load %[[W]]
// CHECK:             arith.divf %{{.*}}, %[[RANGE]]
// CHECK:             math.roundeven
// CHECK-COUNT-2:     arith.shli {{.*}} : i64
// CHECK:           scf.for {{.*}} -> (i64, i64)
// CHECK:             bqgpu.store %{{.*}}, %[[CODES]]
func.func @mixed(%w: tensor<?x1xbf16>) -> !bq.weight<?x1, "mixed:g7", f32> {
  %q = bq.quantize %w {schedule = #bq.schedule<rows>} : tensor<?x1xbf16> -> !bq.weight<?x1, "mixed:g7", f32>
  return %q : !bq.weight<?x1, "mixed:g7", f32>
}

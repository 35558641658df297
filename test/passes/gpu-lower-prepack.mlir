// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-prepack -cse -split-input-file | FileCheck %s

// A row of 4096 columns is 128 units of 32 lanes, four to a block of 128 threads. A thread gathers eight codes, four
// bytes, of rows g and g + 8; each where it is there, all turned at once from two's complement; and stores its two words
// of the unit together. The first sixteen threads of a segment bring its scales.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %[[SCALES:[^:]*]]: !bqgpu.ptr<i16>, %{{[^:]*}}: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<i32>,
// CHECK-SAME:    %[[PACKED:[^:]*]]: !bqgpu.ptr<i32>, %[[TO:[^:]*]]: !bqgpu.ptr<i16>, %{{[^:]*}}: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[N:[^:]*]]: i64)
// CHECK-SAME:    bqgpu.grid_y = 32 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[ROW:.*]] = arith.extsi
// CHECK:         arith.cmpi slt, %[[ROW]], %[[N]] : i64
// CHECK:         %[[LOWER:.*]] = scf.if
// CHECK-COUNT-4:   bqgpu.load %[[CODES]]
// CHECK-NOT:       bqgpu.load
// CHECK-COUNT-2:   arith.xori
// CHECK:         else
// CHECK:           bqgpu.pack %c0{{.*}}, %c0{{.*}} : vector<2xi32>
// CHECK:         %[[UPPER:.*]] = scf.if
// CHECK-COUNT-4:   bqgpu.load %[[CODES]]
// CHECK:         bqgpu.element %[[LOWER]][0]
// CHECK:         bqgpu.element %[[UPPER]][0]
// CHECK:         arith.shli %{{.*}}, %c4
// CHECK:         %[[WORDS:.*]] = bqgpu.pack {{.*}} : vector<2xi32>
// CHECK:         bqgpu.store %[[WORDS]], %[[PACKED]]
// CHECK-NOT:     bqgpu.store
// CHECK:         scf.if
// CHECK:           bqgpu.load %[[SCALES]]
// CHECK:           bqgpu.store %{{.*}}, %[[TO]]
// CHECK-NOT:     bqgpu.store
// CHECK:         return
func.func @int4(%w: !bq.weight<?x4096, "int4:g128", bf16>) -> !bq.weight<?x4096, "int4:g128", bf16> {
  %p = bq.prepack %w {order = #bq.fragments<planes = [4], segment = 128, padded = 128>, schedule = #bq.schedule<rows>} : !bq.weight<?x4096, "int4:g128", bf16>
  return %p : !bq.weight<?x4096, "int4:g128", bf16>
}

// -----

// Columns in another order are gathered one by one, each where its group has it. A code of three bits may span two
// bytes. A word of a plane of one bit takes two units, so that a thread has four pieces of eight codes, and stores one
// word of it and two of the other plane. Zero points are as scales.

// CHECK-LABEL: func.func @permuted(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[ZEROS:[^:]*]]: !bqgpu.ptr<i8>, %[[ORDER:[^:]*]]: !bqgpu.ptr<i32>,
// CHECK-SAME:    %[[PACKED:[^:]*]]: !bqgpu.ptr<i32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[TO:[^:]*]]: !bqgpu.ptr<i8>,
// CHECK-COUNT-32: %[[COLUMN:.*]] = bqgpu.load %[[ORDER]]
// CHECK-NOT:     bqgpu.load %[[ORDER]]
// CHECK:         bqgpu.store %{{.*}}, %[[PACKED]][%{{.*}}] : vector<2xi32>
// CHECK:         bqgpu.store %{{.*}}, %[[PACKED]][%{{.*}}] : i32
// CHECK-NOT:     %[[PACKED]]
// CHECK:         bqgpu.load %[[ZEROS]]
// CHECK:         bqgpu.store %{{.*}}, %[[TO]]
func.func @permuted(%w: !bq.weight<?x50, "uint3:g20", f32, zero = u8>) -> !bq.weight<?x50, "uint3:g20", f32, zero = u8> {
  %p = bq.prepack %w {order = #bq.fragments<planes = [2, 1], segment = 20, padded = 64>, permuted, schedule = #bq.schedule<rows>} : !bq.weight<?x50, "uint3:g20", f32, zero = u8>
  return %p : !bq.weight<?x50, "uint3:g20", f32, zero = u8>
}

// -----

// The scales of the columns of `sign` lie behind those of the rows, and become f32.

// CHECK-LABEL: func.func @sign(
// CHECK-SAME:    %[[SCALES:[^:]*]]: !bqgpu.ptr<i16>
// CHECK-SAME:    %[[COLUMNS:[^:]*]]: !bqgpu.ptr<f32>, %[[N:[^:]*]]: i64)
// CHECK:         %[[AT:[0-9]+]] = arith.addi %[[N]], %{{[0-9]+}} : i64
// CHECK:         %[[HALF:.*]] = bqgpu.load %[[SCALES]][%[[AT]]]
// CHECK:         %[[FLOAT:.*]] = bqgpu.extend f16 %[[HALF]]
// CHECK:         bqgpu.store %[[FLOAT]], %[[COLUMNS]]
func.func @sign(%w: !bq.weight<?x64, "sign", f16>) -> !bq.weight<?x64, "sign", f16> {
  %p = bq.prepack %w {order = #bq.fragments<planes = [1], segment = 64, padded = 64>, schedule = #bq.schedule<rows>} : !bq.weight<?x64, "sign", f16>
  return %p : !bq.weight<?x64, "sign", f16>
}

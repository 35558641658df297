// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-dequantize -cse -split-input-file | FileCheck %s

// Four blocks of 128 threads to a row, each thread eight codes: four bytes, one scale, and one store of 16 bytes. A
// code becomes a float by its bits alone, as the last ones of 2^23 and more.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %[[SCALES:[^:]*]]: !bqgpu.ptr<i16>, %{{[^:]*}}: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<f32>,
// CHECK-SAME:    %{{[^:]*}}: !bqgpu.ptr<f32>, %[[Y:[^:]*]]: !bqgpu.ptr<i32>, %{{[^:]*}}: i64)
// CHECK-SAME:    bqgpu.grid_y = 4 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         scf.if
// CHECK-COUNT-4:   bqgpu.load %[[CODES]]
// CHECK-NOT:       bqgpu.load %[[CODES]]
// CHECK:           %[[BITS:.*]] = bqgpu.load %[[SCALES]]
// CHECK:           %[[SCALE:.*]] = bqgpu.extend bf16 %[[BITS]]
// CHECK-NOT:       bqgpu.load
// CHECK:           %[[FLOAT:.*]] = arith.bitcast %{{.*}} : i32 to f32
// CHECK:           %[[VALUE:.*]] = arith.subf %[[FLOAT]], %{{.*}} : f32
// CHECK:           arith.mulf %[[VALUE]], %[[SCALE]] : f32
// CHECK-COUNT-4:   bqgpu.round_pair
// CHECK:           %[[WORDS:.*]] = bqgpu.pack {{.*}} : vector<4xi32>
// CHECK:           bqgpu.store %[[WORDS]], %[[Y]]
// CHECK-NOT:       scf.if
// CHECK:         return
func.func @int4(%w: !bq.weight<?x4096, "int4:g128", bf16>) -> tensor<?x4096xbf16> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x4096, "int4:g128", bf16> -> tensor<?x4096xbf16>
  return %x : tensor<?x4096xbf16>
}

// -----

// A row of 36 columns is four pieces and half a one, so that 25 rows share a block, whose rows may be beyond the last.
// Rows of f16 are not aligned then, and are stored element by element. A code of three bits may span two bytes.

// CHECK-LABEL: func.func @short_rows(
// CHECK-SAME:    %[[Y:[^:]*]]: !bqgpu.ptr<i16>, %[[ROWS:[^:]*]]: i64)
// CHECK-SAME:    bqgpu.grid_y = 1 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 25 : i32
// CHECK:         %[[ROW:.*]] = arith.extsi
// CHECK:         arith.cmpi slt, %[[ROW]], %[[ROWS]] : i64
// CHECK:         scf.if
// CHECK-COUNT-3:   bqgpu.load %{{.*}} : !bqgpu.ptr<i8>, i64 -> i32
// CHECK:           arith.shli
// CHECK-COUNT-8:   bqgpu.store %{{.*}}, %[[Y]]
// CHECK:         scf.if
// CHECK-COUNT-2:   bqgpu.load %{{.*}} : !bqgpu.ptr<i8>, i64 -> i32
// CHECK-COUNT-4:   bqgpu.store %{{.*}}, %[[Y]]
// CHECK-NOT:       bqgpu.store
// CHECK:         return
func.func @short_rows(%w: !bq.weight<?x36, "int3", f16>) -> tensor<?x36xf16> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x36, "int3", f16> -> tensor<?x36xf16>
  return %x : tensor<?x36xf16>
}

// -----

// In groups that are not whole pieces, each column has its own scale and zero point.

// CHECK-LABEL: func.func @odd_groups(
// CHECK-SAME:    %{{[^:]*}}: !bqgpu.ptr<i8>, %[[SCALES:[^:]*]]: !bqgpu.ptr<f32>, %[[ZEROS:[^:]*]]: !bqgpu.ptr<i8>
// CHECK:         scf.if
// CHECK-NEXT:      arith.constant
// CHECK-COUNT-8:   bqgpu.load %[[SCALES]]
// CHECK-NOT:       bqgpu.load %[[SCALES]]
// CHECK:           bqgpu.load %[[ZEROS]]
// CHECK-COUNT-2:   bqgpu.store %{{.*}} : vector<4xf32>, !bqgpu.ptr<f32>, i64
// CHECK:         return
func.func @odd_groups(%w: !bq.weight<?x24, "uint4:g12", f32, zero = u8>) -> tensor<?x24xf32> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x24, "uint4:g12", f32, zero = u8> -> tensor<?x24xf32>
  return %x : tensor<?x24xf32>
}

// -----

// A table is shared by the block, where each lane reads an entry of its own.

// CHECK-LABEL: func.func @table(
// CHECK-SAME:    %[[TABLE:[^:]*]]: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: i64)
// CHECK:         %[[ENTRIES:.*]] = bqgpu.shared
// CHECK:         scf.if
// CHECK:           %[[ENTRY:.*]] = bqgpu.load %[[TABLE]]
// CHECK:           bqgpu.store %[[ENTRY]], %[[ENTRIES]]
// CHECK:         bqgpu.barrier
// CHECK:         %[[BYTE:.*]] = bqgpu.load %{{.*}} : !bqgpu.ptr<i8>, i64 -> i32
// CHECK:         %[[CODE:.*]] = arith.andi %[[BYTE]]
// CHECK:         bqgpu.load %[[ENTRIES]][%[[CODE]]]
func.func @table(%w: !bq.weight<?x16, "lut2", f32>) -> tensor<?x16xf32> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x16, "lut2", f32> -> tensor<?x16xf32>
  return %x : tensor<?x16xf32>
}

// -----

// `sign` has one scale for a row and one for each column.

// CHECK-LABEL: func.func @sign(
// CHECK-SAME:    %[[COLUMNS:[^:]*]]: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: i64)
// CHECK:         %[[SIGN:.*]] = arith.bitcast
// CHECK:         %[[SCALED:.*]] = arith.mulf %[[SIGN]]
// CHECK:         %[[COLUMN:.*]] = bqgpu.load %[[COLUMNS]]
// CHECK:         arith.mulf %[[SCALED]], %[[COLUMN]] : f32
func.func @sign(%w: !bq.weight<?x16, "sign", f32>) -> tensor<?x16xf32> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x16, "sign", f32> -> tensor<?x16xf32>
  return %x : tensor<?x16xf32>
}

// -----

// An embedding is the same for the rows that its indices name.

// CHECK-LABEL: func.func @embedding(
// CHECK-SAME:    %[[INDICES:[^:]*]]: !bqgpu.ptr<i64>, %[[CODES:[^:]*]]: !bqgpu.ptr<i8>
// CHECK:         %[[I:.*]] = arith.extsi
// CHECK:         %[[ROW:.*]] = bqgpu.load %[[INDICES]][%[[I]]]
// CHECK:         %[[BEGIN:.*]] = arith.muli %[[ROW]]
// CHECK:         %[[FIRST:.*]] = arith.addi %[[BEGIN]]
// CHECK:         bqgpu.load %[[CODES]][%[[FIRST]]]
// CHECK:         %[[TO:.*]] = arith.muli %[[I]]
func.func @embedding(%i: tensor<?xi64>, %w: !bq.weight<?x4096, "int8", f32>) -> tensor<?x4096xf32> {
  %x = bq.embedding %i, %w {schedule = #bq.schedule<rows>} : (tensor<?xi64>, !bq.weight<?x4096, "int8", f32>) -> tensor<?x4096xf32>
  return %x : tensor<?x4096xf32>
}

// -----

// Of mixed each element is found by the place of its group, and lies in up to three bytes.

// CHECK-LABEL: func.func @mixed(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %[[SCALES:[^:]*]]: !bqgpu.ptr<f32>, %[[PLACES:[^:]*]]: !bqgpu.ptr<i32>, %[[INDEX:[^:]*]]: !bqgpu.ptr<i64>, %[[Y:[^:]*]]: !bqgpu.ptr<f32>
// CHECK-COUNT-2: bqgpu.load %[[SCALES]]
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             bqgpu.load %[[PLACES]]
// CHECK:             bqgpu.load %[[INDEX]]
// CHECK-COUNT-3:     bqgpu.load %[[CODES]]
// CHECK:             arith.sitofp
// CHECK:             bqgpu.store %{{.*}}, %[[Y]]
func.func @mixed(%w: !bq.weight<?x1, "mixed", f32>) -> tensor<?x1xf32> {
  %y = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x1, "mixed", f32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}
